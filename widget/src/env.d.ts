/** Put in by the build: true in what the pasted widget loads, which never is the full page. */
declare const __WIDGET__: boolean;
