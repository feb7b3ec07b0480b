"""index.html of the publish folder: volume and label maps in a browser, without a network."""
