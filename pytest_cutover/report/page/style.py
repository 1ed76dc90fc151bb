"""The style sheet of report.html: light, dark, narrow and on paper."""

from __future__ import annotations

CSS = """
:root{--bg:#f6f7f9;--card:#fff;--ink:#16191d;--soft:#59616b;--line:#dfe3e8;--zone:#bfe3cc;--track:#e4e7eb;
--red:#b3261e;--redbg:#fdecea;--unproven:#8a5300;--unprovenbg:#fff3de;--hold:#1d5fa8;--holdbg:#e6f0fb;--green:#17703a;
--greenbg:#e5f4ea;--waived:#6b3fa0;--waivedbg:#f1eaf9;--left:#59616b;--leftbg:#eceef1;--go:#17703a;--nogo:#b3261e}
@media (prefers-color-scheme:dark){:root{--bg:#111418;--card:#1a1e24;--ink:#e9ecef;--soft:#a2abb5;--line:#303741;
--zone:#1f5a37;--track:#2b323b;--red:#ff8a80;--redbg:#3a1d1c;--unproven:#ffc069;--unprovenbg:#372a14;--hold:#86b9f5;
--holdbg:#182a40;--green:#73d395;--greenbg:#15301f;--waived:#c9a6f2;--waivedbg:#2b2038;--left:#a2abb5;--leftbg:#262c34;
--go:#1d6b3c;--nogo:#9b2a23}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",
"Liberation Sans",sans-serif;overflow-wrap:break-word}
main,.top,footer{max-width:1120px;margin:0 auto;padding:0 24px}
section{margin:40px 0}
h1,h2,h3,p,ul,dl,dd,ol,figure{margin:0;padding:0}
h2{font-size:1.35rem;line-height:1.3;margin:0 0 14px}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono",monospace;font-size:.86em;overflow-wrap:anywhere}
small{font-size:.82em;color:var(--soft);font-weight:400}
a{color:var(--hold)}
.vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.top{max-width:none;padding:0;background:var(--card);border-bottom:1px solid var(--line)}
.top>*{max-width:1120px;margin-left:auto;margin-right:auto;padding-left:24px;padding-right:24px}
.top>.v{max-width:none;padding:26px max(24px,calc((100% - 1072px)/2));display:flex;align-items:center;gap:20px;color:#fff}
.go>.v{background:var(--go)}.nogo>.v{background:var(--nogo)}.hold>.v{background:#1d5fa8}.guards>.v{background:#6b3fa0}
.sign{display:grid;place-items:center;width:60px;height:60px;flex:none;border:3px solid #fff;border-radius:50%;
font-size:32px;line-height:1;font-weight:700}
h1{font-size:2.9rem;line-height:1.05;letter-spacing:.01em}
.where{font-size:1.2rem;opacity:.95}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(225px,1fr));gap:12px 28px;padding-top:20px}
.wide{grid-column:1/-1}
dt{color:var(--soft);font-size:.82rem}
.sum{padding-top:22px;font-size:1.1rem}
.bar{display:block;height:10px;width:100%;max-width:1120px;margin-top:8px}
.counts{list-style:none;display:flex;flex-wrap:wrap;gap:8px 18px;padding-top:10px;padding-bottom:4px}
.impact{padding-top:10px;padding-bottom:22px}
.impact span{color:var(--soft);margin-right:4px}
.warn{background:var(--redbg);color:var(--red);padding-top:14px;padding-bottom:14px}
.warn ul{padding-left:20px}
.dot{display:inline-grid;place-items:center;width:1.35em;height:1.35em;border-radius:50%;font-size:.82em;font-weight:700;
line-height:1;margin-right:7px;flex:none;vertical-align:.08em}
.red .dot{background:var(--redbg);color:var(--red)}.unproven .dot{background:var(--unprovenbg);color:var(--unproven)}
.hold .dot{background:var(--holdbg);color:var(--hold)}.green .dot{background:var(--greenbg);color:var(--green)}
.waived .dot{background:var(--waivedbg);color:var(--waived)}.left .dot{background:var(--leftbg);color:var(--left)}
.card{background:var(--card);border:1px solid var(--line);border-left:5px solid var(--left);border-radius:8px;
padding:16px 20px;margin:0 0 14px}
.card.red{border-left-color:var(--red)}.card.unproven{border-left-color:var(--unproven)}.card.hold{border-left-color:var(--hold)}
.card h3{font-size:1.08rem;display:flex;align-items:center}
.state{margin-left:auto;padding-left:12px;font-size:.86rem;white-space:nowrap}
.red .state{color:var(--red)}.unproven .state{color:var(--unproven)}.hold .state{color:var(--hold)}
.id{color:var(--soft);font-size:.9rem}
.why{list-style:none;margin-top:8px}
.why li+li{margin-top:2px}.why code,.notes code{color:var(--soft)}
.notes{padding-left:20px}
.charts{display:flex;flex-wrap:wrap;gap:12px 32px;margin-top:12px}
figure{display:grid;grid-template-columns:auto auto;gap:0 12px;align-items:center}
figcaption{grid-column:1/3;color:var(--soft);font-size:.86rem}
.now{font-size:1.25rem;font-variant-numeric:tabular-nums}
.red .now{color:var(--red)}.unproven .now{color:var(--unproven)}
.lim,.last{grid-column:1/3;color:var(--soft);font-size:.86rem}
.about{display:flex;flex-wrap:wrap;gap:6px 32px;margin-top:12px}
.about dd{font-size:.95rem}
.note{margin-top:8px;padding:6px 10px;background:var(--bg);border-radius:4px;white-space:pre-wrap;font-size:.9rem}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:8px;margin-bottom:12px}
.cv{content-visibility:auto;contain-intrinsic-size:auto 3200px}
.cv.s{contain-intrinsic-size:auto 160px}.cv.m{contain-intrinsic-size:auto 900px}.cv.x{contain-intrinsic-size:auto 6400px}
table{border-collapse:collapse;width:100%;font-size:.94rem}
th,td{text-align:left;padding:9px 12px;vertical-align:top;border-top:1px solid var(--line);font-weight:400}
thead th{border-top:0;color:var(--soft);font-size:.82rem;white-space:nowrap}
tbody th{font-weight:500}
th small{display:block;margin-left:1.85em;font-size:.82em;overflow-wrap:anywhere}
.m tbody tr:not([class])>td{border-top-style:dashed}
.m{table-layout:fixed;min-width:760px}.k1{width:25%}.k2{width:18%}.k3{width:168px}.k4{width:12%}.k5{width:15%}
.m th[scope=row]{padding-left:40px}.m .dot{margin-left:-1.95em}.m th small{margin-left:0}
.n{text-align:right;font-variant-numeric:tabular-nums}
.m td small{display:inline-block}
.ch{padding:10px 4px 0}
.bad{color:var(--red);font-weight:700}
.unproven .bad{color:var(--unproven)}
.chip,time{white-space:nowrap}tbody th>code{overflow-wrap:normal}
.cat{font-size:1.02rem;margin:22px 0 8px}.cat::first-letter{text-transform:uppercase}.cat small{margin-left:6px}
.key{display:flex;flex-wrap:wrap;align-items:center;gap:2px 6px;color:var(--soft);font-size:.86rem}
.key svg:not(:first-child){margin-left:12px}
.c{display:block;width:160px;background:linear-gradient(var(--track),var(--track)) 50%/90% 6px no-repeat}
.z{stroke:var(--zone);stroke-width:6}.l{stroke:var(--ink);stroke-width:2}.g{fill:var(--green);stroke:var(--card);stroke-width:1.5}
.b{fill:var(--red);stroke:var(--card);stroke-width:1.5}.o{fill:var(--card);stroke:var(--soft);stroke-width:2}
.t{fill:var(--track)}.s-red{fill:var(--red)}.s-unproven{fill:var(--unproven)}.s-hold{fill:var(--hold)}
.s-waived{fill:var(--waived)}.s-green{fill:var(--green)}.s-left{fill:var(--left)}
.sheet td,.sheet tbody th{height:46px;vertical-align:middle;border-left:1px solid var(--line)}
.sheet td:first-child{border-left:0}
.sheet .group th{height:auto;background:var(--bg);font-weight:600;text-transform:capitalize;border-left:0}
.sheet p{margin-bottom:12px}
.x{text-align:center;font-size:1.35rem;line-height:1}
.nt{min-width:170px;font-size:.88rem}
.none{color:var(--soft)}
.sg{min-width:130px}
dl.signs{display:grid;grid-template-columns:repeat(3,1fr);gap:24px;margin-top:26px}

.signs dd{border-bottom:1px solid var(--ink);height:44px}
.steps{padding-left:20px;margin-bottom:16px}
.gantt{background:var(--card);border:1px solid var(--line);border-radius:8px;border-collapse:separate;border-spacing:0;padding:6px 0}
.gantt caption{text-align:left;color:var(--soft);font-size:.86rem;padding-bottom:6px}
.gantt th,.gantt td{border:0;padding:2px 14px;vertical-align:middle}
.gantt th{width:1%;white-space:nowrap;max-width:320px;overflow:hidden;text-overflow:ellipsis}
.gantt td.n{width:1%;white-space:nowrap}
.tl{display:block;width:100%;height:20px}
.prov>div{display:grid;grid-template-columns:170px 1fr;gap:4px 16px;padding:7px 0;border-top:1px solid var(--line)}
.prov dt{font-size:.9rem}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 16px;white-space:pre-wrap;margin:12px 0}
footer{color:var(--soft);font-size:.88rem;padding-top:8px;padding-bottom:32px}
@media (max-width:640px){main,footer{padding:0 14px}.top>*{padding-left:14px;padding-right:14px}.top>.v{padding:18px 14px}
h1{font-size:2.1rem}.sign{width:46px;height:46px;font-size:24px}section{margin:30px 0}.card{padding:14px}
.facts{grid-template-columns:1fr}.prov>div{grid-template-columns:1fr}.signs{grid-template-columns:1fr}
.m{min-width:0}.m,.m tbody,.m tr,.m td,.m th{display:block}.m colgroup{display:none}.m th[scope=row]{padding-left:26px}.m thead{display:none}.m tr{padding:8px 12px;border-top:1px solid var(--line)}
.m td,.m th{border:0;padding:1px 0;text-align:left}.m .ch{width:auto}.m .ch:empty{display:none}
.m td:nth-last-child(2),.m td:nth-last-child(3){display:inline;padding-right:6px}
.m td:nth-last-child(3){font-weight:600}.m td:nth-last-child(2)::before{content:"· ";color:var(--soft)}
.m td:nth-last-child(1):not(:empty):not([colspan])::before{content:"last run ";color:var(--soft)}
.scroll>table:not(.m){min-width:620px}
.gantt th{max-width:130px}.gantt th,.gantt td{padding:2px 8px}}
@media print{@page{size:A4;margin:13mm}
:root{--bg:#fff;--card:#fff;--ink:#000;--soft:#454b52;--line:#c4c9cf;--zone:#bfe3cc;--track:#e4e7eb;--red:#a11d16;
--redbg:#fdecea;--unproven:#7a4900;--unprovenbg:#fff3de;--hold:#1d5fa8;--holdbg:#e6f0fb;--green:#12602f;--greenbg:#e5f4ea;
--waived:#5b338c;--waivedbg:#f1eaf9;--left:#454b52;--leftbg:#eceef1;--go:#12602f;--nogo:#a11d16}
body{font-size:10.5pt;line-height:1.4}main,.top>*,footer{max-width:none;padding-left:0;padding-right:0}
.top>.v{padding:14px 18px;border-radius:6px}
.go>.v,.nogo>.v,.hold>.v,.guards>.v,.dot,svg,.c,.sheet .group th,.note{print-color-adjust:exact;-webkit-print-color-adjust:exact}
section{margin:22px 0}h2{break-after:avoid}.cat,.key{break-after:avoid}.card,tr,figure{break-inside:avoid}
.cv{content-visibility:visible}.scroll{overflow:visible;border-radius:0}
.top{border:0}thead{display:table-header-group}th,td{padding:5px 8px}table{font-size:9.5pt}
.m{min-width:0}.k1{width:24%}.k2{width:20%}.k3{width:92px}.k4{width:13%}.k5{width:17%}.m .c{width:84px;background-size:90% 4px}.m .ch{padding:6px 2px 0}
.m:not(:has(tr:nth-child(12))){break-inside:avoid}.prov>div{padding:4px 0;grid-template-columns:110px 1fr}.prov code{font-size:.76em}
.sheet{break-before:page;break-after:page}.sheet table{font-size:9pt}.sheet td,.sheet tbody th{height:44px;padding:3px 5px}
.nt{min-width:0;font-size:8.5pt}.sg{min-width:80px}.sheet thead th{white-space:normal}
a{color:inherit}}
"""
