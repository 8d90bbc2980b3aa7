"""Items as frames: pure."""
