"""What the chapter and the course notes claim, each computed anew."""
