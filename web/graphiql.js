"use strict";

(() => {
  const config = JSON.parse(document.getElementById("config").textContent);
  const demo = config.query !== null;
  const choice = document.getElementById("identity");
  const CUSTOM = "custom";
  const HISTORY = ["graphiql:queries", "graphiql:favorites"];

  /** POSTs one operation with the headers of the header editor; an answer that is not JSON becomes an error. */
  async function fetcher(operation, options) {
    const headers = new Headers(options?.headers);
    headers.set("Accept", "application/graphql-response+json");
    headers.set("Content-Type", "application/json");
    const response = await fetch(config.endpoint, { method: "POST", headers, body: JSON.stringify(operation) });
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`HTTP ${response.status} ${response.statusText}: ${text.slice(0, 500)}`);
    }
  }

  /**
   * What GraphiQL remembers: only until the browser's tab closes, because variables may hold identity numbers,
   * and without the history, whose entries carry the headers even when `shouldPersistHeaders` is false.
   */
  const memory = {
    getItem: (key) => sessionStorage.getItem(key),
    setItem: (key, value) => HISTORY.includes(key) || sessionStorage.setItem(key, value),
    removeItem: (key) => sessionStorage.removeItem(key),
    clear: () => ownKeys().forEach((key) => sessionStorage.removeItem(key)),
    get length() {
      return ownKeys().length;
    },
  };

  /** The keys of GraphiQL among those of all pages of this server. */
  function ownKeys() {
    return Object.keys(sessionStorage).filter((key) => key.startsWith("graphiql:"));
  }

  /** Forgets the last query of this tab: GraphiQL would put it in front of the prefilled one. */
  function forgetLastQuery() {
    for (const key of ["tabState", "query", "variables", "headers", "operationName"]) {
      memory.removeItem(`graphiql:${key}`);
    }
  }

  /** Fills the select with the demo identities; the last option stands for headers that were typed. */
  function listIdentities() {
    choice.append(...config.identities.map(({ label }, index) => new Option(label, index)));
    const custom = new Option("自定义 custom", CUSTOM);
    custom.hidden = true;
    choice.append(custom);
    document.getElementById("identity-choice").hidden = config.identities.length === 0;
    showIdentity(config.headers);
  }

  /** Selects the identity whose headers these are, so that the bar never names another one than is sent. */
  function showIdentity(headers) {
    const index = config.identities.findIndex((identity) => identity.headers === headers);
    choice.value = index < 0 ? CUSTOM : String(index);
  }

  /** Stands in the place of GraphiQL's logo, where the header editor can be reached. */
  function Mark() {
    const { headerEditor } = GraphiQL.React.useEditorContext({ nonNull: true });
    React.useEffect(() => {
      choice.onchange = () => headerEditor?.setValue(config.identities[Number(choice.value)].headers);
    }, [headerEditor]);
    return "一数一源";
  }

  if (demo) {
    forgetLastQuery();
  }
  listIdentities();
  const element = React.createElement;
  ReactDOM.createRoot(document.getElementById("graphiql")).render(
    element(
      GraphiQL,
      {
        fetcher,
        query: config.query ?? undefined,
        variables: config.variables ?? undefined,
        headers: config.headers,
        defaultHeaders: config.headers,
        defaultQuery: "# 在此编写 GraphQL 查询 Write a GraphQL query here\n",
        defaultEditorToolsVisibility: config.variables ? "variables" : "headers",
        shouldPersistHeaders: false,
        showPersistHeadersSettings: false,
        onEditHeaders: showIdentity,
        storage: memory,
      },
      element(GraphiQL.Logo, null, element(Mark)),
    ),
  );
})();
