"""A module whose import takes longer than its function's timeout."""

import time

time.sleep(30)


def handler(event, context):
    return None
