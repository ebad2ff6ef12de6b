"""The `onesource` command for people at a terminal: it asks over HTTP like every client and shows tables."""
