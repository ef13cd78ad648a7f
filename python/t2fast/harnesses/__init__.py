"""This engine as the model of harnesses that people run already, one harness a file."""
