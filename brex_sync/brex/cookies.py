"""A cookie jar that stores nothing, so that each request has only its own headers."""

from http.cookiejar import CookieJar, DefaultCookiePolicy


def no_cookies() -> CookieJar:
    """A jar for an HTTP client that accepts no cookie."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))
