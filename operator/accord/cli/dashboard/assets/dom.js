// Elements without a framework. Text is always a text node: nothing that an object says can become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false && child !== "") {
      element.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
  }
  return element;
}

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const s = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const KEPT = new Set(["open"]); // what the reader sets, not the view

// Makes `old` like `fresh` and keeps what is equal, so that focus, selection and open details stay.
export function morph(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || key(old) !== key(fresh)) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !KEPT.has(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  children(old, [...fresh.childNodes]);
}

const key = (node) => (node.nodeType === Node.ELEMENT_NODE ? node.getAttribute("data-key") : null);

function children(parent, wanted) {
  const keyed = new Map([...parent.children].filter(key).map((each) => [key(each), each]));
  let at = parent.firstChild;
  for (const fresh of wanted) {
    const same = key(fresh) && keyed.get(key(fresh));
    if (same && same !== at) {
      parent.insertBefore(same, at);
      morph(same, fresh);
      continue;
    }
    if (at === null || (key(at) && !same)) {
      parent.insertBefore(fresh, at);
      continue;
    }
    const next = at.nextSibling;
    morph(at, fresh);
    at = next;
  }
  while (at !== null) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}
