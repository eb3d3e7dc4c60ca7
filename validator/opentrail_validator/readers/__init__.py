"""Where the evidence is read from: an S3 server or a local directory; and whom trails and keys are asked from."""
