"""Work on a GPU: recorded graphs, kernels with torch to fall back on, too little memory."""
