/** An engine of the sample's own: a ring. */

import { ProgressEngine } from "dtws_sio/progress";

const SVG = "http://www.w3.org/2000/svg";
const RADIUS = 44;
const LENGTH = 2 * Math.PI * RADIUS;

export class RingEngine extends ProgressEngine {
  createElements() {
    this.arc = circle();
    const drawing = document.createElementNS(SVG, "svg");
    drawing.setAttribute("viewBox", "0 0 100 100");
    drawing.setAttribute("aria-hidden", "true");
    drawing.append(circle(), this.arc);
    this.number = document.createElement("strong");
    this.label = this.makeLabel();
    const words = document.createElement("div");
    words.append(this.number, this.label);
    this.ring = document.createElement("div");
    this.ring.className = "ring";
    this.ring.append(drawing, words);
    return this.ring;
  }

  updateProgression(values) {
    this.number.textContent = this.progressionText(values);
    this.arc.style.setProperty("stroke-dasharray", `${LENGTH}`);
    this.arc.style.setProperty("stroke-dashoffset", `${LENGTH * (1 - (values.fraction ?? 0.25))}`);
    this.describe(this.ring, values);
  }

  updateLabel(label) {
    this.label.textContent = label;
  }
}

function circle() {
  const element = document.createElementNS(SVG, "circle");
  for (const [name, value] of Object.entries({ cx: 50, cy: 50, r: RADIUS })) element.setAttribute(name, value);
  return element;
}
