"""Does an instance answer its health check?"""

from __future__ import annotations


def probe_health(
    address: str, port: int, path: str, timeout: float = 2
) -> tuple[bool, str]:
    """Whether `GET path` answers 2xx or 3xx, else why not."""
    import httpx  # 5 MB that only formation-jobs should carry

    try:
        answer = httpx.get(f"http://{address}:{port}{path}", timeout=timeout)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return False, f"GET {path}: {error or type(error).__name__}"
    if answer.status_code < 400:
        return True, ""
    return False, f"GET {path} answers {answer.status_code}"
