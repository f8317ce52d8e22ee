"""The chapter as code: its sections, its exercises, and what it claims."""
