"""Export of trained tasks to other runtimes: tracing, writing, parity with torch, model card."""
