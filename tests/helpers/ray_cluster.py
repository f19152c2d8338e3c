"""Cluster of Ray on this machine: nodes of one core each, which end with the test."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import ROOT

PRINT_NODE = """
import ray

ray.init(logging_level="ERROR")
print(*(node["NodeID"] for node in ray.nodes() if node["Alive"] and "node:__internal_head__" not in node["Resources"]))
"""
RAY = Path(sys.executable).parent / "ray"


class RayCluster:
    """Nodes of one core each, in which a worker of a run fits."""

    def __init__(self):
        # sockets have short paths
        self.folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.environment = {
            **os.environ,
            # Ray leaves a token there
            "HOME": str(self.folder),
            "RAY_ADDRESS": self.address,
            "RAY_USAGE_STATS_ENABLED": "0",
            # at its end a node would wait for its work
            "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",
            "RAY_TRAIN_PREEMPTION_POLL_INTERVAL_S": "1",
            "PYTHONPATH": str(ROOT),
        }
        self.nodes = []
        self.add_node("--head", "--port", self.address.partition(":")[2], "--temp-dir", self.folder)

    def add_node(self, *options):
        """Start a node and wait until it is there; its address is that of the head by default."""
        output = self.folder / f"node{len(self.nodes)}.txt"
        command = [RAY, "start", "--block", "--num-cpus", 1, "--object-store-memory", 80 * 2**20]
        command += options or ["--address", self.address]
        environment = {name: value for name, value in self.environment.items() if name != "RAY_ADDRESS"}
        with output.open("w") as file:
            words = [*map(str, command), "--disable-usage-stats"]
            self.nodes.append(subprocess.Popen(words, stdout=file, stderr=file, env=environment))
        while "Ray runtime started" not in output.read_text():
            assert self.nodes[-1].poll() is None, output.read_text()
            time.sleep(0.1)

    def take_away(self, seconds):
        """Announce that the node that is not the head ends in some seconds."""
        node = self._call([sys.executable, "-c", PRINT_NODE]).strip()
        reason = ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "test"]
        limit = ["--deadline-remaining-seconds", str(seconds)]
        self._call([RAY, "drain-node", "--address", self.address, "--node-id", node, *reason, *limit])

    def launch(self, *arguments, **options):
        """Start the launcher with a worker on each of two nodes."""
        command = [sys.executable, "-m", "lightseg.launch", "ray", "--nodes", "2", "--gpus", "0", "--cpus", "1"]
        return subprocess.Popen(
            [*command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env=self.environment,
            **options,
        )

    def close(self):
        """End all nodes."""
        for node in reversed(self.nodes):
            node.terminate()
        for node in self.nodes:
            node.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _call(self, command):
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
