// What is asked of the daemon, and how its refusals are told.

export class Refused extends Error {
  constructor(status, why) {
    super(why);
    this.status = status;
  }
}

// An address without the credentials that somebody may have typed into the page's own.
export function at(path, query = {}) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) {
    if (value) url.searchParams.set(name, value);
  }
  return url.href;
}

export function segment(text) {
  return encodeURIComponent(text);
}

export async function ask(path, { method = "GET", query = {}, body } = {}) {
  let answer;
  try {
    answer = await fetch(at(path, query), { method, body });
  } catch {
    throw new Refused(0, "the daemon does not answer");
  }
  if (!answer.ok) throw new Refused(answer.status, (await answer.text()).trim());
  return answer.json();
}
