"""The data plane of API Gateway and of function URLs: one loopback port per API, in front of the Lambda host."""
