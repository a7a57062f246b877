"""What the pages that the twin writes are made of: HTML and SVG, without scripts and without the network."""
