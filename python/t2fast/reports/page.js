"use strict";
(() => {
  const { looks, charts } = JSON.parse(document.getElementById("data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = new Map();

  // Ink and lines of the page, which charts share.
  function config(width) {
    const page = getComputedStyle(document.documentElement);
    const ink = page.getPropertyValue("--ink").trim();
    const line = page.getPropertyValue("--line").trim();
    return {
      ...looks,
      background: "transparent",
      font: "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif",
      title: { color: ink },
      axis: { ...looks.axis, labelColor: ink, titleColor: ink, gridColor: line, domainColor: line, tickColor: line },
      axisY: { labelLimit: width < 480 ? 0.4 * width : looks.axisY.labelLimit },
      legend: {
        ...looks.legend, labelColor: ink, titleColor: ink,
        columns: width < 480 ? 2 : looks.legend.columns, labelLimit: width < 480 ? 0.35 * width : looks.legend.labelLimit,
      },
    };
  }

  async function draw(place) {
    const spec = { ...charts[place.id], width: "container", autosize: { type: "fit-x", contains: "padding" } };
    const options = {
      actions: false, ast: true, renderer: "svg", defaultStyle: false, config: config(place.clientWidth),
      tooltip: { disableDefaultStyle: true },
    };
    drawn.get(place)?.finalize();
    drawn.set(place, await vegaEmbed(place, spec, options));
    place.dataset.drawn = "yes";
  }

  function failed(place, error) {
    place.style.display = "none";
    place.parentElement.querySelector(".still").style.display = "block";
    console.error(error);
  }

  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      draw(target).catch((error) => failed(target, error));
    }
  }, { rootMargin: "600px" });
  for (const place of document.querySelectorAll(".live")) near.observe(place);
  dark.addEventListener("change", () => {
    for (const place of drawn.keys()) draw(place).catch((error) => failed(place, error));
  });
})();
