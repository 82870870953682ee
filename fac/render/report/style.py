"""How a report looks: light and dark, narrow and printed. No font and no picture comes from elsewhere."""

from __future__ import annotations

from fac.render.graph.svg import FACE, colours, variables

_PAGE = """
*{box-sizing:border-box}
html{background:var(--paper);color:var(--ink)}
body{margin:0 auto;max-width:75rem;padding:1rem clamp(.75rem,3vw,2rem) 4rem;line-height:1.5}
h1{font-size:1.6rem;margin:.5rem 0;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.5rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--grid)}
h3{font-size:1rem;margin:1.25rem 0 .25rem;overflow-wrap:anywhere}
nav ul,ul.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;padding:0;margin:.5rem 0}
a{color:var(--value)}
p,li,figcaption{overflow-wrap:anywhere}
.notes{color:var(--ink);padding-left:1.2rem;margin:.5rem 0}
.quiet,caption,figcaption{color:var(--edge);font-size:.85rem}
.wide{overflow-x:auto;margin:.5rem 0}
table{border-collapse:collapse;font-size:.85rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:.25rem 0;position:sticky;left:0;max-width:min(72rem,calc(100vw - 1.5rem))}
th,td{padding:.2rem .6rem;border-bottom:1px solid var(--grid);text-align:right;unicode-bidi:isolate;vertical-align:top}
tbody th,thead th:first-child{text-align:left;font-weight:normal}
tbody th,table.words td{max-width:min(24rem,55vw);overflow-wrap:break-word}
thead th{border-bottom-color:var(--edge)}
table.words td,table.words th{text-align:left}table:not(.words) td{white-space:nowrap}
table.matrix td{text-align:center;min-width:2.2rem;background:color-mix(in srgb,var(--value) var(--s),transparent)}
table.matrix td.right{background:color-mix(in srgb,var(--low_rank) var(--s),transparent)}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr));gap:1rem}
figure{margin:0;min-width:0}
.panels svg{width:100%;height:auto;display:block}
.samples{display:grid;grid-template-columns:repeat(auto-fill,minmax(7.5rem,1fr));gap:.75rem}
.samples img{width:100%;min-height:1rem;max-width:9rem;image-rendering:pixelated;border:1px solid var(--grid)}
.swatch{vertical-align:middle;margin-right:.4rem}
pre{overflow-x:auto;background:var(--box);padding:.75rem;font-size:.8rem;line-height:1.4;border-radius:6px}
code{background:var(--box);padding:0 .2em;border-radius:3px;unicode-bidi:isolate;overflow-wrap:anywhere}
summary{cursor:pointer;color:var(--edge);font-size:.85rem;overflow-wrap:anywhere}
.graph svg{max-width:none}
"""
_PRINT = """
@page{size:A4;margin:14mm}
body{max-width:none;padding:0;font-size:9.5pt}
nav,.screen{display:none}
details::details-content{content-visibility:visible;block-size:auto;opacity:1}
.wide{overflow:visible;break-inside:avoid}
.graph svg{max-width:100%;height:auto}
.panels{grid-template-columns:repeat(2,1fr)}
.samples{grid-template-columns:repeat(6,1fr)}
table{font-size:7.5pt}
th,td{padding:.1rem .3rem}
table:not(.words) td{white-space:normal}
tbody th,table.words td{max-width:11rem}
table.matrix td{min-width:0;overflow-wrap:anywhere}
caption{max-width:none}
figure,tr{break-inside:avoid}
h2,h3,caption{break-after:avoid}
pre{white-space:pre-wrap;overflow-wrap:anywhere}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
"""


def style() -> str:
    """The style sheet: dark where the reader's setting is, and always light in print."""
    light, dark = variables(dark=False), variables(dark=True)
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
        f"body{{font-family:{FACE}}}{colours()}{_PAGE}@media print{{{_PRINT}}}"
    )
