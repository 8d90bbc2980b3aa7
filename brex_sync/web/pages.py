"""The pages of the login, self-contained and without scripts."""

import base64
import hashlib
from html import escape

from starlette.responses import HTMLResponse

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 28rem; margin: 15vh auto; padding: 0 1rem }
input, button { font: inherit; padding: .4rem .6rem }
input { width: 100%; box-sizing: border-box; margin: .5rem 0 }
.wrong { color: #b00020 }
"""
_POLICY = (
    "default-src 'none'; form-action 'self'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)


def login(target: str, wrong: str = "", status: int = 401) -> HTMLResponse:
    """Asks for the token, and sends it to `target`."""
    return _page(
        f"""<p>Paste the token. <code>brex-sync up</code> prints an address with it, and it is in
<code>ui-token</code> in the folder <code>BREX_SYNC_HOME</code> (<code>~/.brex-sync</code>).</p>
<p class="wrong">{escape(wrong)}</p>
<form method="post" action="/login">
<input type="hidden" name="next" value="{escape(target)}">
<label>Token <input type="password" name="token" autocomplete="off" required autofocus></label>
<button>Log in</button>
</form>""",
        status,
    )


def logged_in() -> HTMLResponse:
    """Says that the browser is logged in, and offers to log out."""
    return _page(
        """<p>You are logged in. <a href="/">Go on</a></p>
<form method="post" action="/logout"><button>Log out</button></form>""",
        200,
    )


def onward(target: str) -> HTMLResponse:
    """Loads `target` at once."""
    address = escape(target)
    return _page(f'<p><a href="{address}">Go on</a></p>', 401, refresh=address)


def _page(body: str, status: int, refresh: str = "") -> HTMLResponse:
    onward = f'<meta http-equiv="refresh" content="0; url={refresh}">' if refresh else ""
    return HTMLResponse(
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>brex_sync</title>{onward}
<style>{_STYLE}</style></head>
<body><h1>brex_sync</h1>
{body}
</body></html>
""",
        status,
        {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"},
    )
