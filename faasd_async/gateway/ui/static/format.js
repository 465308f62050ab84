// Numbers and times as people read them.

const NONE = "–";

export function count(value) {
  if (value === null || value === undefined) return NONE;
  return value >= 10000 ? `${trim(value / 1000)}k` : String(value);
}

export function rate(perSecond) {
  if (!perSecond) return "0/s";
  if (perSecond < 0.1) return `${trim(perSecond * 60)}/min`;
  return `${trim(perSecond)}/s`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NONE;
  if (seconds === 0) return "0 s";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${trim(seconds * 1000)} ms`;
  if (seconds < 60) return `${trim(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function bytes(size) {
  if (size < 1024) return `${size} B`;
  if (size < 1024 ** 2) return `${trim(size / 1024)} KiB`;
  return `${trim(size / 1024 ** 2)} MiB`;
}

export function clock(moment) {
  if (!moment) return NONE;
  return new Date(moment).toLocaleTimeString([], { hour12: false });
}

export function when(moment) {
  if (!moment) return NONE;
  const then = new Date(moment);
  const today = new Date().toDateString() === then.toDateString();
  if (today) return clock(moment);
  const day = then.toLocaleDateString([], { day: "numeric", month: "short" });
  return `${day}, ${clock(moment)}`;
}

export function between(from, to) {
  return (new Date(to) - new Date(from)) / 1000;
}

export function plural(number, one, many) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

// Long ids are told by their beginning; the whole one is in the title and behind the link.
export function shortened(id) {
  return id.length > 36 ? `${id.slice(0, 34)}…` : id;
}

export function mood(state) {
  if (state === "succeeded") return "good";
  if (state === "failed" || state === "dead") return "bad";
  if (state === "expired" || state === "retrying" || state === "cancelled") return "warn";
  return "";
}

function trim(number) {
  if (number >= 100) return String(Math.round(number));
  return String(Number(number.toPrecision(number >= 10 ? 3 : 2)));
}
