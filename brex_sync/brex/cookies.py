"""Cookies that nobody keeps: each request goes out with what it was given, and nothing else."""

from http.cookiejar import CookieJar, DefaultCookiePolicy


def no_cookies() -> CookieJar:
    """A jar for an HTTP client that takes no cookie from anybody."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))
