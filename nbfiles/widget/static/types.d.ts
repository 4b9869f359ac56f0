// What the browser's half of the widgets hands around, for the type checker alone: no browser loads this file.

/** What the kernel knows of a file. */
type Known = Record<"key" | "name" | "path" | "mime" | "state" | "reason" | "side" | "id" | "block" | "variable", string> &
	Record<"size" | "landed" | "sent", number> & { ready: boolean };

/** A file of a person's, and where it lay in a chosen folder. */
type Choice = { file: File; path: string };

/** What is accepted. */
type Limits = { accept: string; multiple: boolean; max_files: number | null; max_bytes: number };

/** The part of anywidget's model that every front end has. */
type Model = {
	get(name: string): any;
	on(name: string, does: Function): void;
	send(message: object, callbacks?: object, buffers?: ArrayBuffer[]): void;
};

/** What anywidget calls with. */
type Context = { model: Model; el: HTMLElement };

/** What goes to the kernel; the kinds are in `_desk.py`. */
type Message = { kind: string; [name: string]: any };

/** The Jupyter server, as its pages describe it. */
type Place = { baseUrl: string; token?: string };

/** What came of a request; status 0 is no answer. */
type Answer = { status: number; said: string };

/** What an element may hold. */
type Child = Node | string;

/** The files of a listing, column by column; times in milliseconds since 1970. */
type Columns = {
	id: string[];
	name: string[];
	mime: string[];
	size: number[];
	created: number[];
	expires: (number | null)[];
	variable: string[];
	block: string[];
	origin: number[];
	downloadable: number[];
};

/** What a person looks for: words, a type, an origin (-1: any), and by which column it is sorted. */
type Query = { text: string; mime: string; origin: number; column: keyof Columns; down: boolean };

/** What stands in place of the selection bar: a plan to delete, a name to bind, or what was done. */
type Bar = {
	kind: string;
	text?: string;
	token?: string;
	count?: number;
	size?: number;
	elsewhere?: number;
	elsewhere_size?: number;
	variables?: string[];
	more?: number;
};
