// What the server says.

const ROOT = "/api/v1/";

export class Refused extends Error {}

// Asks for an object; parameters without a value are left out.
export async function ask(path, parameters = {}, signal) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== "") query.set(name, value);
  }
  const answer = await fetch(`${ROOT}${path}?${query}`, { signal, cache: "no-store" });
  const object = await answer.json();
  if (!answer.ok) throw new Refused(object.error);
  return object;
}

// Calls back for each frame, and with whether the stream is there. The browser joins again by itself; what it gives up is begun anew.
export function follow(onFrame, onState) {
  const source = new EventSource(`${ROOT}events`);
  source.onopen = () => onState("live");
  source.onmessage = (event) => onFrame(JSON.parse(event.data));
  source.onerror = () => {
    onState("lost");
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(onFrame, onState), 3000);
  };
}
