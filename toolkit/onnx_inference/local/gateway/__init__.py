"""The data plane of API Gateway and function URLs: each API has a loopback port, in front of the Lambda host."""
