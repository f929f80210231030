"""The frame of every page: navigation by what the user may do, messages, one style sheet."""

from __future__ import annotations

from typing import Any

from app.pages.parts import button, here, link
from so import Gate, Markup, Response, auth, config, h, session
from so.support.markup import join

STYLE = """
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5f6c7b;--line:#dfe4ea;--back:#f6f7f9;
--card:#fff;--accent:#0a5f8f;--good:#17754a;--bad:#a5222f;--warn:#8a5a00}
@media(prefers-color-scheme:dark){:root{--ink:#e6eaef;--soft:#9aa7b5;--line:#36414d;--back:#161c23;
--card:#1f2730;--accent:#6bb7e8;--good:#69cf9c;--bad:#ff9aa2;--warn:#f0c36b}}
*{box-sizing:border-box}body{margin:0;font:15px/1.55 system-ui,sans-serif;color:var(--ink);
background:var(--back)}a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
header{display:flex;gap:1rem;align-items:center;flex-wrap:wrap;padding:.6rem 1.2rem;
background:var(--card);border-bottom:1px solid var(--line)}header b{font-size:1.05rem}
nav{display:flex;gap:.2rem .9rem;flex-wrap:wrap}nav a[aria-current]{font-weight:600;
border-bottom:2px solid var(--accent)}.right{margin-left:auto;display:flex;gap:.9rem;
align-items:center}main{max-width:70rem;margin:0 auto;padding:1.2rem}
h1{font-size:1.5rem;margin:.3rem 0 1rem}h2{font-size:1.1rem;margin:0 0 .6rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:1rem 1.1rem;
margin:0 0 1rem;overflow-x:auto}.grid{display:grid;gap:1rem;
grid-template-columns:repeat(auto-fit,minmax(15rem,1fr))}.grid .card{margin:0}
.figure{font-size:1.7rem;font-weight:600}table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--soft);font-weight:600;font-size:.86rem}.num{text-align:right;
font-variant-numeric:tabular-nums}dl{display:grid;grid-template-columns:max-content 1fr;
gap:.3rem 1.2rem;margin:0}dt{color:var(--soft)}dd{margin:0}
label{display:block;font-size:.88rem;color:var(--soft);margin:.6rem 0 .15rem}
input,select,textarea{font:inherit;color:inherit;background:var(--back);
border:1px solid var(--line);border-radius:6px;padding:.4rem .6rem;width:100%;max-width:28rem}
input[type=checkbox]{width:auto}button,.button{font:inherit;cursor:pointer;border:1px solid
var(--accent);background:var(--accent);color:#fff;border-radius:6px;padding:.4rem .9rem;
display:inline-block}button.plain{background:none;color:var(--accent)}
button.danger{background:none;color:var(--bad);border-color:var(--bad)}
@media(prefers-color-scheme:dark){button:not(.plain):not(.danger),.button{color:#0d151c}}
.row{display:flex;gap:.8rem;flex-wrap:wrap;align-items:end}.row form{margin:0}
.right form{margin:0}.field{margin:0 0 .7rem}.field p{margin:.2rem 0 0}.hint{color:var(--soft);
font-size:.88rem}.check input{margin-right:.3rem}.error{color:var(--bad);font-size:.88rem}
.error span{display:block}[aria-invalid]{border-color:var(--bad);outline:1px solid var(--bad)}
.errors{border:1px solid var(--bad);border-radius:8px;padding:.6rem 1rem;margin:0 0 1rem}
.errors p{margin:0 0 .3rem;font-weight:600}.errors ul{margin:0;padding-left:1.2rem}
.errors,.errors a{color:var(--bad)}fieldset.line{display:flex;flex-wrap:wrap;gap:0 .8rem;
border:0;border-top:1px solid var(--line);margin:0;padding:.4rem 0;min-width:0}
fieldset.line legend{padding:0;color:var(--soft);font-size:.86rem;font-weight:600}
fieldset.line .field{flex:1 1 12rem;min-width:0}.note{border-left:4px solid var(--good);
background:var(--card);padding:.6rem 1rem;margin:0 0 1rem}.note.bad{border-color:var(--bad)}
.tag{border:1px solid currentcolor;border-radius:99px;padding:0 .55rem;font-size:.82rem}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.soft{color:var(--soft)}
.pager{display:flex;gap:1rem;margin:.8rem 0}progress{width:100%;height:1.1rem}
.unread td:first-child{border-left:3px solid var(--accent)}
"""

MENU = (
    ("Products", "/products", None),
    ("Customers", "/customers", None),
    ("Orders", "/orders", None),
    ("Invoices", "/invoices", None),
    ("Imports", "/imports", "import-orders"),
    ("Reports", "/reports", "make-reports"),
    ("Audit", "/audit", "see-audit"),
    ("Queue", "/queue", "see-queue"),
    ("Console", "/console", "console.view"),
)


def page(title: str, *parts: Any, refresh: int | None = None, status: int = 200) -> Response:
    """A whole page; *refresh* seconds until the browser asks for it again."""
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", name="viewport", content="width=device-width,initial-scale=1"),
        h("meta", http_equiv="refresh", content=str(refresh)) if refresh else None,
        h("title", f"{title} · {config('app.name')}"),
        h("style", Markup(STYLE)),
    )
    main = h("main", h("h1", title), _message(), list(parts))
    body = h("body", _header(), main)
    return Response.html("<!doctype html>\n" + h("html", head, body, lang="en"), status)


def _header() -> Markup:
    user = auth().user()
    brand = h("b", link(config("app.name"), "/"))
    if user is None:
        return h("header", brand, h("div", link("Guides", "/docs"), class_="right"))
    links = [
        link(text, url) for text, url, ability in MENU if ability is None or Gate.allows(ability)
    ]
    unread = user.unread_count()
    right = h(
        "div",
        link(
            ["Inbox", h("span", f" ({unread})" if unread else "", data_unread="")], "/notifications"
        ),
        h("script", src=here("/notifications/bell.js"), defer=True),
        link(user.name, "/account"),
        button("Log out", "/logout"),
        class_="right",
    )
    return h("header", brand, h("nav", links), right)


def _message() -> Markup | None:
    note, problem = session("note"), session("problem")
    return join(
        [
            h("p", note, class_="note", role="status") if note else None,
            h("p", problem, class_="note bad", role="alert") if problem else None,
        ]
    )
