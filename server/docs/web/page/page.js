// Shows the API's description. A pasted token stays in this page's memory and
// is gone with it; nothing is asked of any other host.
"use strict";

SwaggerUIBundle({
  dom_id: "#reference",
  url: "/docs/openapi.json",
  layout: "BaseLayout",
  presets: [SwaggerUIBundle.presets.apis],
  deepLinking: true,
  docExpansion: "list",
  filter: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,
  tryItOutEnabled: false,
  validatorUrl: null,
  withCredentials: false,
});
