"""The one operations layer: every operation of the vector-bucket services, by dialect, and the boto3-shaped client."""
