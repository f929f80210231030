// Keeps the elements with `data-unread` up to date, <span data-unread> (3)</span>, or only the number in
// one: <b data-unread hidden><i data-count>3</i> unread</b>. The page hears of each notification as
// well: document.addEventListener("notification", e => e.detail.data.title).
// Only a page that is seen listens: browsers open six connections to a server, not one for each tab.
(function () {
  "use strict";
  var url = document.currentScript.src.replace(/bell\.js.*$/, "stream");
  var source = null;
  var last = "";

  function show(event) {
    var unread = JSON.parse(event.data).unread;
    document.querySelectorAll("[data-unread]").forEach(function (element) {
      var number = element.querySelector("[data-count]");
      element.hidden = !unread;
      if (number) number.textContent = unread.toLocaleString(document.documentElement.lang || "en");
      else element.textContent = unread ? " (" + unread + ")" : "";
    });
  }

  function tell(event) {
    last = event.lastEventId;
    var detail = JSON.parse(event.data);
    document.dispatchEvent(new CustomEvent("notification", { detail: detail }));
  }

  function turn() {
    if (document.hidden) {
      if (source) source.close();
      source = null;
    } else if (!source) {
      source = new EventSource(last ? url + "?last=" + encodeURIComponent(last) : url);
      source.addEventListener("unread", show);
      source.addEventListener("notification", tell);
    }
  }

  document.addEventListener("visibilitychange", turn);
  window.addEventListener("pagehide", function () { if (source) source.close(); source = null; });
  window.addEventListener("pageshow", turn);
  turn();
})();
