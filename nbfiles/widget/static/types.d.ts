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
