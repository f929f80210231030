// Refreshes what is marked data-live, in place: the focus stays where it is, and so does what is typed.
(() => {
  const every = Number(document.body.dataset.refresh || 0) * 1000;
  const live = document.getElementById("live");
  if (!every || !document.querySelector("[data-live]")) return;
  const holds = (part) => part.contains(document.activeElement) || part.querySelector("input:checked");
  const refresh = async () => {
    if (document.hidden) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const fresh = page.getElementById(part.id);
        if (fresh && !holds(part) && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
      }
      live.textContent = "";
    } catch {
      live.textContent = "Not up to date: the server does not answer.";
    }
  };
  setInterval(refresh, every);
})();
