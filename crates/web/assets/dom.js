// Elements from values. Whatever comes from the network becomes a text node or a property, never markup.

export const find = (id) => document.getElementById(id);

// h("p", {className: "x"}, "text", child): properties are set as they are, null children are left out.
export function h(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Sets a text only where it differs, so that nothing is laid out for nothing.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
