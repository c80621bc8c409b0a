"""HTTP shared by all resources: authentication, JSON input and output, caching, query parameters, the browser app."""
