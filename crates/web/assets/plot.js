// A plot over time on a canvas: lines over an area, an axis that is labelled, the value under the pointer.

import * as format from "./format.js";

const SPAN_MS = 600000;
const LEFT = 56;
const BOTTOM = 18;
const TOP = 8;
// What the axis reaches even when nothing happens: no plot makes much of next to nothing.
const LEAST = 10;

export class Plot {
  // `lines`: [{value(sample), colour: a variable of the style sheet, area}]; `label` shows a value, in steps of powers of `base`.
  constructor(canvas, lines, label, base = 10) {
    Object.assign(this, { canvas, lines, label, base });
    this.samples = [];
    this.pointer = null;
    canvas.addEventListener("pointermove", (event) => this.point(event.offsetX));
    canvas.addEventListener("pointerleave", () => this.point(null));
    new ResizeObserver(() => this.schedule()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.schedule());
  }

  show(samples) {
    this.samples = samples;
    this.schedule();
  }

  point(x) {
    this.pointer = x;
    this.schedule();
  }

  schedule() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.draw();
    });
  }

  draw() {
    const { canvas } = this;
    const [width, height, scale] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
    if (width === 0) return;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    const now = this.samples.at(-1)?.time ?? Date.now();
    const most = Math.max(LEAST, ...this.samples.flatMap((sample) => this.lines.map((line) => line.value(sample) ?? 0)));
    const top = ceiling(most, this.base);
    const box = { width, height, x: (time) => width - ((now - time) / SPAN_MS) * (width - LEFT), y: (value) => height - BOTTOM - (value / top) * (height - BOTTOM - TOP) };
    this.drawAxes(pen, box, top, style);
    for (const line of this.lines) this.drawLine(pen, box, line, style);
    if (this.pointer !== null) this.drawPointer(pen, box, style, now);
  }

  drawAxes(pen, box, top, style) {
    pen.font = `11px ${style.fontFamily}`;
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    for (const part of [0, 0.5, 1]) {
      const y = Math.round(box.y(top * part)) + 0.5;
      pen.strokeStyle = style.getPropertyValue("--line");
      pen.beginPath();
      pen.moveTo(LEFT, y);
      pen.lineTo(box.width, y);
      pen.stroke();
      pen.fillStyle = style.getPropertyValue("--muted");
      pen.textAlign = "right";
      pen.fillText(part === 0 ? "0" : this.label(top * part), LEFT - 8, y);
    }
    pen.textBaseline = "alphabetic";
    for (const [minutes, align] of [[10, "left"], [5, "center"], [0, "right"]]) {
      pen.textAlign = align;
      pen.fillText(minutes ? `−${minutes} min` : "now", LEFT + (1 - minutes / 10) * (box.width - LEFT), box.height - 4);
    }
  }

  // A second without a value is a gap.
  drawLine(pen, box, line, style) {
    const runs = [[]];
    for (const sample of this.samples) {
      const value = line.value(sample);
      if (value === undefined || value === null) runs.push([]);
      else runs.at(-1).push([box.x(sample.time), box.y(value)]);
    }
    const colour = style.getPropertyValue(line.colour);
    pen.lineWidth = 1.5;
    pen.lineJoin = "round";
    pen.strokeStyle = pen.fillStyle = colour;
    for (const run of runs.filter((run) => run.length > 0)) {
      const path = new Path2D();
      run.forEach(([x, y]) => path.lineTo(x, y));
      if (run.length === 1) path.lineTo(run[0][0] + 1, run[0][1]);
      pen.stroke(path);
      if (!line.area) continue;
      path.lineTo(run.at(-1)[0], box.y(0));
      path.lineTo(run[0][0], box.y(0));
      pen.globalAlpha = 0.14;
      pen.fill(path);
      pen.globalAlpha = 1;
    }
  }

  drawPointer(pen, box, style, now) {
    const time = now - ((box.width - this.pointer) / (box.width - LEFT)) * SPAN_MS;
    const near = this.samples.reduce((best, sample) => (Math.abs(sample.time - time) < Math.abs((best?.time ?? 0) - time) ? sample : best), null);
    if (!near || Math.abs(near.time - time) > 3000) return;
    const x = Math.round(box.x(near.time)) + 0.5;
    const values = this.lines.map((line) => line.value(near)).filter((value) => value !== undefined && value !== null);
    const text = [format.time(near.time), ...values.map((value) => this.label(value))].join("   ");
    pen.strokeStyle = style.getPropertyValue("--muted");
    pen.beginPath();
    pen.moveTo(x, TOP);
    pen.lineTo(x, box.height - BOTTOM);
    pen.stroke();
    const wide = pen.measureText(text).width + 16;
    const left = Math.min(Math.max(LEFT, x - wide / 2), box.width - wide);
    pen.fillStyle = style.getPropertyValue("--raised");
    pen.beginPath();
    pen.roundRect(left, 0, wide, 20, 5);
    pen.fill();
    pen.fillStyle = style.getPropertyValue("--text");
    pen.textAlign = "left";
    pen.textBaseline = "middle";
    pen.fillText(text, left + 8, 10.5);
  }
}

// A round number that is not below.
function ceiling(most, base) {
  // Bytes count in powers of two: 1, 2, 4 … 512 of each unit.
  if (base !== 10) return 2 ** Math.ceil(Math.log2(most));
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 4, 5, 10].map((step) => step * power).find((step) => step >= most);
}
