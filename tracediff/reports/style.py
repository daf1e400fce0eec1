"""How a page looks: light or dark as its reader has it, from a phone's width to a wide screen's."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#59636e;--line:#d0d7de;--page:#fff;
--card:#f6f8fa;--up:#0a7d5a;--down:#b3401c;--good:#0a7d5a;--bad:#c0261c;--warn:#8a5a00;
--name:#0b5cad;
--added:#dafbe1;--gone:#ffebe9}
@media (prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4af;--line:#3d444d;--page:#0d1117;
--card:#151b23;--up:#3fb68b;--down:#e5734b;--good:#3fb68b;--bad:#ff7b72;--warn:#d9a03f;
--name:#79b8ff;--added:#12301f;--gone:#3a1d1f}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:24px 20px 64px}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 4px;display:flex;gap:12px;align-items:center;
flex-wrap:wrap}
h2{font-size:1.1rem;margin:36px 0 10px}
p{margin:4px 0}
a{color:var(--name)}
code,pre,.number,.bins{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",
monospace;font-size:.875em}
code,dd,.field,li,p,summary{overflow-wrap:anywhere}
.badge{font-size:.8rem;font-weight:600;padding:2px 10px;border-radius:999px;
border:1.5px solid currentColor;white-space:nowrap}
.good{color:var(--good)}.bad{color:var(--bad)}.warn{color:var(--warn)}.soft{color:var(--soft)}
.answer{font-size:1.1rem;margin-top:8px}
.gates{margin:12px 0 0;padding:0;list-style:none}
.gates li{border-left:4px solid var(--bad);padding:2px 12px;margin:6px 0;background:var(--card)}
.counts{display:grid;grid-template-columns:repeat(auto-fit,minmax(120px,1fr));gap:10px;
margin:20px 0 0}
.counts div{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:8px 12px}
.counts dt{color:var(--soft);font-size:.8rem}
.counts dd{margin:0;font-size:1.25rem;font-weight:600;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th{color:var(--soft);font-weight:500;text-align:left;white-space:nowrap}
th,td{padding:6px 10px;border-bottom:1px solid var(--line);vertical-align:top}
.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.strong{font-weight:600}
th.number{white-space:normal;overflow-wrap:anywhere;max-width:14rem}
.field{min-width:11rem}
.bar{display:block;width:100%;min-width:70px;height:14px;margin-top:4px}
.bar-cell{width:26%}
.up{fill:var(--up)}.down{fill:var(--down)}.axis{stroke:var(--line);stroke-width:1}
.proof{margin-top:10px}
details{border:1px solid var(--line);border-radius:8px;margin:10px 0;background:var(--card)}
summary{cursor:pointer;padding:10px 14px;font-weight:600}
summary .number,summary .badge{margin-left:12px}
.cause{padding:2px 14px 14px;display:grid;grid-template-columns:minmax(0,1fr) 300px;gap:8px 28px}
.cause pre{grid-column:1/-1}
dl.facts{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:4px 14px;margin:0;
font-size:.9rem}
.facts dt{color:var(--soft)}
.facts dd{margin:0}
figure{margin:0}
.histogram{display:block;width:100%;height:96px}
figcaption{display:flex;justify-content:space-between;gap:8px;font-size:.8rem;color:var(--soft)}
pre{margin:8px 0 0;border:1px solid var(--line);border-radius:6px;overflow-x:auto;
background:var(--page);padding:6px 0;line-height:1.45}
pre span{display:block;padding:0 12px;width:max-content;min-width:100%}
.added{background:var(--added)}.gone{background:var(--gone)}
ul{padding-left:20px}
:focus-visible{outline:2px solid var(--name);outline-offset:2px}
@media (max-width:720px){main{padding:16px 12px 48px}h1{font-size:1.25rem}
.cause{grid-template-columns:minmax(0,1fr)}.roomy{display:none}th,td{padding:6px}
.field{min-width:8rem}dl.facts{gap:4px 10px}}
@media print{details{break-inside:avoid}}
"""
