// What the browser's halves of both widgets share: figures and names as people read them, and safe elements to hold them.
//
// A name is data: it becomes text nodes, titles and labels only. Python puts this file before the module that imports it.

export const NB = "\u00a0";
export const DOT = `${NB}· `;

// ---- figures and names

/** `96 B`, `412 kB`, `24.1 MB` */
export function formatSize(bytes = 0) {
	if (bytes < 1000) return `${Math.round(bytes)}${NB}B`;
	let [value, unit] = [bytes / 1000, 0];
	for (; value >= 999.5 && unit < 3; unit++) value /= 1000;
	return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)}${NB}${"kMGT"[unit]}B`;
}

/** `1 file`, `1,902 files` */
export function counted(count = 0, noun = "") {
	return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Writes each hidden or reordering character as `<U+202E>`. */
export function visible(text = "") {
	return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (char) => {
		return `<U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}>`;
	});
}

/** Cuts a name into a head, which may give way, and its ending and 4 letters. */
export function splitName(name = "") {
	const letters = name.match(/.\p{M}*/gsu) ?? []; // an accent stays with its letter
	const keep = 4 + (/[^/]\.([^./]{0,9})$/.exec(name)?.[0].length ?? 1) - 1;
	let cut = letters.length;
	for (let width = 0; cut && letters.length - cut < keep; cut--) {
		width += visible(letters[cut - 1]).length;
		if (width > 14) break;
	}
	return [letters.slice(0, cut).join(""), letters.slice(cut).join("")];
}

// ---- pace

/** Has `work` done soon, at most once in `wait` ms. @param {() => void} work @param {(does: () => void) => void} [frame] */
export function throttle(work, wait = 100, frame = requestAnimationFrame) {
	let last = 0;
	let due = false;
	const run = () => {
		due = false;
		last = Date.now();
		work();
	};
	return () => {
		if (!due) setTimeout(() => frame(run), last + wait - Date.now());
		due = true;
	};
}

// ---- elements

const SVG = "http://www.w3.org/2000/svg";
export const RING = "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2";

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {string} [cls] @param {...Child} children
 */
export function make(tag, cls, ...children) {
	const node = document.createElement(tag);
	if (cls) node.className = cls;
	node.append(...children);
	return node;
}

/** @template {Element} T @param {T} node @param {Record<string, string>} attributes */
export function set(node, attributes) {
	for (const [name, value] of Object.entries(attributes)) {
		if (node.getAttribute(name) !== value) node.setAttribute(name, value);
	}
	return node;
}

export function icon(shape = "", tone = "", svg = document.createElementNS(SVG, "svg")) {
	const path = svg.firstElementChild ?? svg.appendChild(document.createElementNS(SVG, "path"));
	set(path, { d: shape });
	return set(svg, { class: `i ${tone}`, viewBox: "0 0 16 16", "aria-hidden": "true" });
}

/** @param {string} does @param {string} cls @param {...Child} children */
export function button(does, cls, ...children) {
	return set(make("button", cls, ...children), { type: "button", "data-do": does });
}

export function marked(text = "") {
	return visible(text)
		.split(/(<U\+[0-9A-F]{4,6}>)/)
		.map((part, at) => (at % 2 ? make("span", "nbf-cc", part) : part));
}

/** @param {Element} node @param {string} text */
export function write(node, text) {
	if (node.textContent !== visible(text)) node.replaceChildren(...marked(text));
}

/** @param {string[]} parts @param {string} [cls] */
export function isolated([head, tail], cls = "") {
	const name = make("bdi", `nbf-name ${cls}`, make("span", "h", ...marked(head)), make("span", "t", ...marked(tail)));
	return set(name, { title: visible(head + tail), style: `--t:${visible(tail).length}` });
}

/** Has `key` take the keys that are pressed in `root`, if it wants them, and the notebook none. @param {HTMLElement} root @param {(event: KeyboardEvent, on: HTMLElement) => boolean} key */
export function keepKeys(root, key) {
	// Jupyter looks for its commands before any listener of ours. In JupyterLab the mark may stand on whatever is around
	// the focus; Notebook 7 heeds it only where the focus is.
	root.addEventListener("focusin", ({ target }) => {
		if (target instanceof Element) set(target, { "data-lm-suppress-shortcuts": "true" });
	});
	root.onkeydown = (event) => {
		event.stopPropagation();
		if (event.target instanceof HTMLElement && key(event, event.target)) event.preventDefault();
	};
}

/** Says `text` to a screen reader in the live `region`. @param {Element} region */
export function announce(region, text = "") {
	region.textContent = text + (region.textContent === text ? NB : ""); // the same text would be no news
}

/** Puts `text` on the clipboard. @param {Element} root what holds the focus */
export async function copy(root, text = "") {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		// Pages without https have none of that kind.
		/** @type {HTMLElement | null} */
		const active = root.querySelector(":focus");
		const area = make("textarea", "sr", text);
		root.append(area);
		area.select();
		document.execCommand("copy");
		area.remove();
		active?.focus();
	}
}

/** Measures the tails of `names`, so that exactly the rest gives way. @param {HTMLElement[]} names @param {Element} zero as wide as a 0 */
export function fitTails(names, zero) {
	const { width } = zero.getBoundingClientRect();
	if (!width) return false; // not on the page yet
	const tails = names.map((name) => name.lastElementChild?.getBoundingClientRect().width ?? 0);
	names.forEach((name, at) => name.style.setProperty("--t", (tails[at] / width + 0.1).toFixed(2)));
	return true;
}
