"""Where models come from, what they are made of, and the file systems that they lie on."""
