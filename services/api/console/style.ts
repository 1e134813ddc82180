/** The console's one style sheet. No external resource: colours follow the system, columns fold into rows on a phone. */
export const STYLE = `
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1c1d1f;--dim:#5d6168;--line:#e2e2df;--link:#0b57a4;
--good:#17653a;--good-bg:#e3f2e8;--warn:#7a4a00;--warn-bg:#fbeed3;--bad:#9c1c1c;--bad-bg:#fbe4e2}
@media(prefers-color-scheme:dark){:root{--bg:#131416;--card:#1a1c1f;--ink:#e4e5e7;--dim:#9a9fa8;--line:#2c2f34;--link:#7db5f5;
--good:#86d3a2;--good-bg:#17301f;--warn:#e9bd6c;--warn-bg:#352a12;--bad:#f19a94;--bad-bg:#3a1917}}
*{box-sizing:border-box}
html{font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums;
-webkit-text-size-adjust:100%}
body{margin:0 auto;max-width:78rem;padding:0 1.25rem 3rem;background:var(--bg);color:var(--ink);overflow-wrap:anywhere}
a{color:var(--link);text-decoration-thickness:1px;text-underline-offset:.15em}
:focus-visible{outline:2px solid var(--link);outline-offset:2px;border-radius:2px}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--card);padding:.3rem .6rem}
header{display:flex;flex-wrap:wrap;align-items:baseline;gap:.3rem 1.25rem;padding:.9rem 0;border-bottom:1px solid var(--line)}
header .mark{font-weight:650;color:inherit;text-decoration:none}
header .who{margin-left:auto;color:var(--dim);font-size:.87rem;display:flex;gap:.75rem;align-items:baseline;flex-wrap:wrap}
form.inline{display:inline}
.jump{display:flex;flex-wrap:wrap;gap:.3rem .6rem;align-items:baseline;margin:.7rem 0 0;font-size:.87rem}.jump input{flex:1 1 8rem;min-width:0;max-width:22rem;
padding:.25rem .5rem;border:1px solid var(--line);border-radius:4px;background:var(--card)}
button,input{font:inherit;color:inherit}
button{background:var(--card);border:1px solid var(--line);border-radius:4px;padding:.3rem .8rem;cursor:pointer}
button:hover{border-color:var(--dim)}
form.inline button{padding:.05rem .5rem;font-size:.87rem}
h1{font-size:1.35rem;margin:1.3rem 0 .1rem;font-weight:620}
h2{font-size:.95rem;margin:1.7rem 0 .5rem;font-weight:620}
h2 small{font-weight:400;color:var(--dim)}
p{margin:.4rem 0}.dim{color:var(--dim)}
code,.mono{font:.92em/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.panel{background:var(--card);border:1px solid var(--line);border-radius:6px}
table{border-collapse:collapse;width:100%;background:var(--card);border:1px solid var(--line);border-radius:6px;font-size:.93rem}
th{text-align:left;font-weight:500;font-size:.8rem;color:var(--dim);padding:.45rem .7rem;white-space:nowrap}
td{padding:.4rem .7rem;border-top:1px solid var(--line);vertical-align:baseline}
th.n,td.n{text-align:right;white-space:nowrap}td.now{white-space:nowrap}
tr.live td{background:color-mix(in srgb,var(--good-bg) 45%,var(--card))}
.tag{display:inline-block;padding:0 .45rem;border-radius:3px;font-size:.82rem;line-height:1.5;white-space:nowrap;border:1px solid var(--line);
color:var(--dim)}
.tag.good{background:var(--good-bg);color:var(--good);border-color:transparent}
.tag.warn{background:var(--warn-bg);color:var(--warn);border-color:transparent}
.tag.bad{background:var(--bad-bg);color:var(--bad);border-color:transparent}
.facts{display:flex;flex-wrap:wrap;gap:.2rem 2rem;margin:.5rem 0;padding:.7rem .9rem}
.facts div{min-width:6rem}.facts dt{font-size:.8rem;color:var(--dim)}.facts dd{margin:0}
.notice{padding:.5rem .9rem;margin:.7rem 0;border-radius:6px;background:var(--warn-bg);color:var(--warn)}
.notice.bad{background:var(--bad-bg);color:var(--bad)}
summary{cursor:pointer;white-space:nowrap}details code{white-space:normal;display:block;margin:.3rem 0;user-select:all;-webkit-user-select:all}
ul.plain{list-style:none;margin:.2rem 0;padding:0}
.login{max-width:27rem;margin:12vh auto 0;padding:1.4rem 1.5rem}
.login h1{margin-top:0}.login label{display:block;margin:.9rem 0 .25rem;font-size:.87rem}
.login input{width:100%;padding:.45rem .6rem;border:1px solid var(--dim);border-radius:4px;background:var(--bg)}
.login button{margin-top:.9rem}
footer{margin-top:2.2rem;color:var(--dim);font-size:.85rem;display:flex;flex-wrap:wrap;gap:.2rem 1.2rem}
@media(max-width:44rem){
body{padding:0 .8rem 2rem}
thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
table,tbody{display:block}
tr{display:flex;flex-wrap:wrap;gap:.1rem .8rem;padding:.5rem .7rem;border-top:1px solid var(--line)}
tbody tr:first-child{border-top:0}
tr.live{background:color-mix(in srgb,var(--good-bg) 45%,var(--card))}tr.live td{background:none}
td,td.n{display:block;border:0;padding:0;text-align:left;min-width:0}
td[data-label]::before{content:attr(data-label) " ";color:var(--dim);font-size:.8rem}
td:empty{display:none}td.wide{flex-basis:100%}
header .who{margin-left:0}
}
@media print{header .who,footer,.skip{display:none}}
`;
