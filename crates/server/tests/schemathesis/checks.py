"""What no answer may be, beside what schemathesis knows to check."""

import schemathesis


@schemathesis.check
def fails_only_by_503_with_retry_after(ctx, response, case):
    status = response.status_code
    assert status < 500 or status == 503, f"answered {status}"
    if status in (429, 503):
        after = response.headers.get("retry-after", [""])[0]
        assert after.isdigit() and int(after) > 0, f"{status} without Retry-After"
