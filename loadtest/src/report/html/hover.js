// Shows the values under the pointer, or at the place that the arrow keys chose. Without it the charts lack nothing else.
for (const figure of document.querySelectorAll("figure.chart")) {
  const area = figure.querySelector(".area");
  const cursor = figure.querySelector(".cursor");
  const { x, heads, lines } = JSON.parse(figure.querySelector("script").textContent);
  const tip = document.createElement("div");
  tip.className = "tip";
  let at = -1;
  const add = (parent, tag, text, name = "") => {
    const child = parent.appendChild(document.createElement(tag));
    child.textContent = text;
    child.className = name;
  };
  const show = (index) => {
    at = index;
    tip.replaceChildren();
    add(tip, "b", heads[at]);
    for (const { name, color, values } of lines) {
      if (values[at] == null) continue;
      const row = tip.appendChild(document.createElement("div"));
      add(row, "span", name, `c${color}`);
      add(row, "span", values[at]);
    }
    cursor.hidden = false;
    cursor.style.left = `${x[at] * 100}%`;
    area.append(tip);
    tip.classList.toggle("left", x[at] > 0.5);
    tip.style.left = `${x[at] * 100}%`;
  };
  const hide = () => {
    cursor.hidden = true;
    tip.remove();
  };
  const nearest = (place) => {
    let best = 0;
    x.forEach((value, index) => {
      if (Math.abs(value - place) < Math.abs(x[best] - place)) best = index;
    });
    return best;
  };
  area.tabIndex = 0;
  area.addEventListener("pointermove", (event) => {
    const { left, width } = area.getBoundingClientRect();
    show(nearest((event.clientX - left) / width));
  });
  area.addEventListener("pointerleave", hide);
  area.addEventListener("blur", hide);
  area.addEventListener("keydown", ({ key }) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (step) show(Math.min(Math.max(at + step, 0), x.length - 1));
    if (key === "Escape") hide();
  });
}
