"""The shapes of Kendra's requests, and the check that boto3 makes of them before it sends one."""
