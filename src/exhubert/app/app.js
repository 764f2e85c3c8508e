// The player of a result: what is heard, where it is in the waveform, the plane and the table. `element` holds the result,
// which is replaced for each recording; it has an article for each channel that was classified by itself.
const listed = (part, name) => JSON.parse(part?.dataset[name] ?? "[]");
const last = (list, seconds) => list.findLast((item) => item[0] <= seconds + 0.001);
const clock = (seconds) => {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
};
const length = (article) => Number(article.dataset.seconds);
let heard = null;

function show(article, seconds) {
  const find = (selector) => article.querySelector(selector);
  find(".head").style.left = `${(100 * seconds) / length(article)}%`;
  find(".time b").textContent = clock(seconds);
  find(".track").setAttribute("aria-valuenow", seconds.toFixed(1));
  const run = last(listed(find(".wave"), "runs"), seconds);
  if (run) {
    const dot = Object.assign(document.createElement("i"), { className: `dot ${run[2]}` });
    find(".now").replaceChildren(dot, run[1]);
    find(".track").setAttribute("aria-valuetext", `${clock(seconds)}, ${run[1]}`);
  }
  const place = last(listed(find(".plane"), "way"), seconds);
  const here = find(".here");
  if (here && place) {
    here.setAttribute("cx", place[1]);
    here.setAttribute("cy", place[2]);
    here.style.visibility = "visible";
  }
  const rows = [...article.querySelectorAll("tbody tr")];
  const row = rows.findLast((each) => Number(each.dataset.start) <= seconds + 0.001);
  if (row && !row.classList.contains("current")) {
    find("tr.current")?.classList.remove("current");
    row.classList.add("current");
    const table = find(".table");
    const top = row.offsetTop - table.querySelector("thead").offsetHeight;
    if (top < table.scrollTop || top + row.offsetHeight > table.scrollTop + table.clientHeight - 60) table.scrollTop = top;
  }
}

function seek(article, seconds) {
  const to = Math.min(Math.max(seconds, 0), length(article));
  article.querySelector("audio").currentTime = to;
  show(article, to);
}

function follow(audio) {
  if (!audio.isConnected) return;
  show(audio.closest("article"), audio.currentTime);
  if (!audio.paused) requestAnimationFrame(() => follow(audio));
}

function toPointer(event, track) {
  const article = track.closest("article");
  const box = track.getBoundingClientRect();
  seek(article, ((event.clientX - box.left) / box.width) * length(article));
}

element.addEventListener("click", (event) => {
  const article = event.target.closest("article");
  const audio = article?.querySelector("audio");
  const row = event.target.closest("tbody tr");
  if (row) seek(article, Number(row.dataset.start));
  if (event.target.closest(".play")) audio.paused ? audio.play() : audio.pause();
});
element.addEventListener("pointerdown", (event) => {
  const track = event.target.closest(".track");
  if (!track) return;
  toPointer(event, track);
  track.setPointerCapture(event.pointerId);
});
element.addEventListener("pointermove", (event) => {
  const track = event.target.closest(".track");
  if (track?.hasPointerCapture(event.pointerId)) toPointer(event, track);
});
element.addEventListener("keydown", (event) => {
  const article = event.target.closest(".track")?.closest("article");
  if (!article) return;
  const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
  if (step) seek(article, article.querySelector("audio").currentTime + step);
  else if (event.key === " ") article.querySelector(".play").click();
  else if (event.key === "Home") seek(article, 0);
  else return;
  event.preventDefault();
});
// events of media don't bubble, hence `true`
for (const name of ["play", "pause", "ended"]) {
  element.addEventListener(name, (event) => {
    const audio = event.target;
    const playing = !audio.paused && !audio.ended;
    if (playing && heard !== audio) heard?.pause();
    if (playing) heard = audio;
    const button = audio.closest("article").querySelector(".play");
    button.classList.toggle("playing", playing);
    button.setAttribute("aria-label", playing ? "Pause" : "Play");
    follow(audio);
  }, true);
}
watch("value", () => {
  if (heard && !heard.isConnected) heard.pause();
  for (const article of element.querySelectorAll("article")) show(article, 0);
});
