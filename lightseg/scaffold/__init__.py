"""First recipe for a user's own folder: a survey of its files, and settings that fit them."""
