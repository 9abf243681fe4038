"""Whether a GPU is of any more use to this process."""

import torch

from serfiq_core.gpu.out_of_memory import says_out_of_memory


def is_lost() -> bool:
    """After an illegal access, a failed launch or an uncorrectable error of its memory, CUDA
    answers every further call with that error, until the process ends. Which errors are of that
    kind, neither their classes say nor those of cuBLAS, cuDNN and Triton: so the device is asked.

    Waits for what the device is at.
    """
    try:
        torch.cuda.synchronize()
    except RuntimeError as error:
        # It alone: whoever asks is handling the error of a batch, which is a link of its chain.
        return not says_out_of_memory(error)
    return False
