// The player of a result: what is heard, where it is in the waveform, the plane and the table. `element` holds the result,
// which is replaced for each recording.
const find = (selector) => element.querySelector(selector);
const listed = (selector, name) => JSON.parse(find(selector)?.dataset[name] ?? "[]");
const last = (list, seconds) => list.findLast((item) => item[0] <= seconds + 0.001);
const clock = (seconds) => {
  const tenths = Math.floor(seconds * 10 + 1e-6);
  return `${Math.floor(tenths / 600)}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
};
const length = () => Number(find("article").dataset.seconds);
let heard = null;

function show(seconds) {
  find(".head").style.left = `${(100 * seconds) / length()}%`;
  find(".time b").textContent = clock(seconds);
  find(".track").setAttribute("aria-valuenow", seconds.toFixed(1));
  const run = last(listed(".wave", "runs"), seconds);
  if (run) {
    const dot = Object.assign(document.createElement("i"), { className: `dot ${run[2]}` });
    find(".now").replaceChildren(dot, run[1]);
    find(".track").setAttribute("aria-valuetext", `${clock(seconds)}, ${run[1]}`);
  }
  const place = last(listed(".plane", "way"), seconds);
  const here = find(".here");
  if (here && place) {
    here.setAttribute("cx", place[1]);
    here.setAttribute("cy", place[2]);
    here.style.visibility = "visible";
  }
  const rows = [...element.querySelectorAll("tbody tr")];
  const row = rows.findLast((each) => Number(each.dataset.start) <= seconds + 0.001);
  if (row && !row.classList.contains("current")) {
    element.querySelector("tr.current")?.classList.remove("current");
    row.classList.add("current");
    const table = find(".table");
    const top = row.offsetTop - table.querySelector("thead").offsetHeight;
    if (top < table.scrollTop || top + row.offsetHeight > table.scrollTop + table.clientHeight - 60) table.scrollTop = top;
  }
}

function seek(seconds) {
  const to = Math.min(Math.max(seconds, 0), length());
  find("audio").currentTime = to;
  show(to);
}

function follow() {
  const audio = find("audio");
  if (!audio) return;
  show(audio.currentTime);
  if (!audio.paused) requestAnimationFrame(follow);
}

function toPointer(event, track) {
  const box = track.getBoundingClientRect();
  seek(((event.clientX - box.left) / box.width) * length());
}

element.addEventListener("click", (event) => {
  const audio = find("audio");
  const row = event.target.closest("tbody tr");
  if (row) seek(Number(row.dataset.start));
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
  if (!event.target.closest(".track")) return;
  const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
  if (step) seek(find("audio").currentTime + step);
  else if (event.key === " ") find(".play").click();
  else if (event.key === "Home") seek(0);
  else return;
  event.preventDefault();
});
// events of media don't bubble, hence `true`
for (const name of ["play", "pause", "ended"]) {
  element.addEventListener(name, (event) => {
    heard = event.target;
    const playing = !heard.paused && !heard.ended;
    find(".play").classList.toggle("playing", playing);
    find(".play").setAttribute("aria-label", playing ? "Pause" : "Play");
    follow();
  }, true);
}
watch("value", () => {
  if (heard && !heard.isConnected) heard.pause();
  if (find("article")) show(0);
});
