import "../../react/src/main";
