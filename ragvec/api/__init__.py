"""The one operations layer: every operation of the vector-bucket services, validated by dialect, and the boto3-shaped client."""
