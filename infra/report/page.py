"""The style sheet of the report page, and the script that draws its charts in the browser."""

CSS = """
:root{color-scheme:light dark;--ink:#1d2733;--muted:#66727f;--rule:#e4e8ec;--paper:#fff;--wash:#f6f8fa;
--ensemble:#0b5cad;--equal:#d9731a;--good:#1f7a57;--bad:#b3383f;--sim-ink:#7a4b00;--sim:#fff3dc;--real-ink:#0f5132;
--real:#e3f4ea}
@media(prefers-color-scheme:dark){:root{--ink:#e6ebf0;--muted:#96a3b0;--rule:#2b3440;--paper:#12171d;--wash:#191f27;
--ensemble:#5aa9f2;--equal:#f0a057;--good:#63c79c;--bad:#ea7a80;--sim-ink:#f5cf8e;--sim:#3a2c10;--real-ink:#a5e0bf;
--real:#14301f}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.55 FONT;-webkit-text-size-adjust:100%}
main{max-width:1180px;margin:0 auto;padding:0 28px 72px}
.origin{background:var(--real);color:var(--real-ink);font-size:13.5px;padding:9px 0}
.origin.simulated{background:var(--sim);color:var(--sim-ink)}
.origin p{max-width:1180px;margin:0 auto;padding:0 28px}
.origin b{letter-spacing:.06em}
h1{font-size:27px;line-height:1.25;font-weight:650;letter-spacing:-.015em;margin:34px 0 6px;max-width:34em}
h2{font-size:17px;font-weight:650;letter-spacing:-.005em;margin:40px 0 4px;padding-top:18px;
border-top:1px solid var(--rule)}
h3{font-size:14px;font-weight:650;margin:22px 0 4px}
p{margin:4px 0 10px;max-width:860px}
p.lead{font-size:16.5px;max-width:50em}
.note,caption{color:var(--muted);font-size:13.5px}
.cards{display:grid;grid-template-columns:repeat(4,1fr);gap:14px;margin:26px 0 8px}
.card{border:1px solid var(--rule);border-top:3px solid var(--tone,var(--rule));border-radius:6px;
padding:14px 16px 12px}
.card h3{margin:0;font-size:13.5px;font-weight:600;white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.card .sub{color:var(--muted);font-weight:400}
.card .figure{font-size:32px;line-height:1.2;font-weight:600;letter-spacing:-.02em;margin:6px 0 0}
.card .unit{font-size:12.5px;color:var(--muted);margin:0 0 10px}
.card dl{display:grid;grid-template-columns:1fr auto;margin:0;gap:1px 8px;font-size:13.5px}
.card dt{color:var(--muted)}.card dd{margin:0;text-align:right}
.scroll{overflow-x:auto;margin:10px 0 0}
table{border-collapse:collapse;font-size:13.5px;width:100%}
th,td{padding:6px 8px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
th{font-weight:550;color:var(--muted);font-size:12.5px;white-space:normal;vertical-align:bottom;
line-height:1.3}
th:first-child,td:first-child,td.text,th.text{text-align:left;padding-left:0}
tr.lead td{font-weight:650}
table.narrow{width:auto;min-width:380px}
td,.figure,dd{font-variant-numeric:tabular-nums}
.down{color:var(--bad)}.swatch{display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:8px;background:var(--tone)}
.bar{display:block;height:9px;border-radius:2px;background:var(--ensemble);opacity:.75;min-width:1px}
td.wide{width:45%;padding-right:0}
.two{display:grid;grid-template-columns:1fr 1fr;gap:0 44px}
.chart{margin:10px 0 0;min-width:0}
ul{padding-left:1.15em;margin:6px 0}
details{margin:10px 0;border:1px solid var(--rule);border-radius:6px;padding:10px 16px}
summary{cursor:pointer;font-weight:550}
pre{font:12.5px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-x:auto;margin:10px 0 2px}
footer{margin-top:56px;color:var(--muted);font-size:13px;border-top:1px solid var(--rule);padding-top:14px}
@media(max-width:900px){.cards{grid-template-columns:repeat(2,1fr)}.two{grid-template-columns:1fr}}
@media(max-width:520px){main,.origin p{padding-left:16px;padding-right:16px}h1{font-size:22px}
.cards{grid-template-columns:1fr}}
@media print{details{display:none}h2,.chart,table{break-inside:avoid}}
"""

SCRIPT = """
(function(){
const figures=JSON.parse(document.getElementById('figures').textContent);
const night=JSON.parse(document.getElementById('night').textContent);
const dark=matchMedia('(prefers-color-scheme: dark)');
function dye(value){
  if(typeof value==='string'){
    const base=value.slice(0,7);
    return dark.matches&&night[base]&&/^#[0-9a-f]{6,8}$/.test(value)?night[base]+value.slice(7):value}
  if(Array.isArray(value))return value.map(dye);
  if(value&&typeof value==='object'){
    if('bdata' in value)return value;
    const out={};for(const key in value)out[key]=dye(value[key]);return out}
  return value}
const options={displayModeBar:false,responsive:true,doubleClick:'reset'};
const shown=Object.keys(figures).filter(id=>document.getElementById(id));
const axis=id=>figures[id].layout.xaxis.type;
let following=false;
function draw(){
  for(const one of document.querySelectorAll('[data-tone]'))
    one.style.setProperty('--tone',dye(one.dataset.tone));
  for(const id of shown){
    const layout=dye(figures[id].layout);
    layout.hoverlabel=Object.assign({},layout.hoverlabel,dark.matches?
      {bgcolor:'#1f2731',bordercolor:'#2b3440'}:{bgcolor:'#ffffff',bordercolor:'#e4e8ec'});
    Plotly.react(id,dye(figures[id].data),layout,options)}}
draw();dark.addEventListener('change',draw);
for(const id of shown)document.getElementById(id).on('plotly_relayout',change=>{
  if(following)return;
  const low=change['xaxis.range[0]'],high=change['xaxis.range[1]'],whole=change['xaxis.autorange'];
  if(low===undefined&&whole===undefined)return;
  following=true;
  const wish=whole?{'xaxis.autorange':true}:{'xaxis.range':[low,high]};
  Promise.all(shown.filter(other=>other!==id&&axis(other)===axis(id)).map(other=>Plotly.relayout(other,wish)))
    .finally(()=>{following=false})})
})();
"""
