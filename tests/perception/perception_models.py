"""SAM 2 and EdgeTAM video models of random weights, as small as transformers' code allows."""

from __future__ import annotations

from typing import Any

import torch

SIZE = 64


def _vision(size: int) -> Any:
    from transformers import Sam2HieraDetConfig, Sam2VisionConfig

    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        num_attention_heads=1,
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 24, 32],
        num_attention_heads_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[4, 4, 4, 4],
        global_attention_blocks=[3],
        image_size=[size, size],
    )
    return Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[32, 24, 16, 8],
        backbone_feature_sizes=[[size // s, size // s] for s in (4, 8, 16)],
        # Memories of fewer than 64 channels, or no narrower than the features, do not run.
        fpn_hidden_size=128,
    )


def _settings(size: int, prompts: type, decoder: type) -> dict[str, Any]:
    return {
        "vision_config": _vision(size),
        "prompt_encoder_config": prompts(hidden_size=128, image_size=size, mask_input_channels=4),
        "mask_decoder_config": decoder(
            hidden_size=128,
            mlp_dim=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            iou_head_hidden_dim=8,
        ),
        "image_size": size,
        "num_maskmem": 3,
        "max_object_pointers_in_encoder": 4,
        "memory_attention_hidden_size": 128,
        "memory_attention_num_layers": 1,
        "memory_attention_rope_feat_sizes": [size // 16, size // 16],
        "memory_encoder_hidden_size": 128,
        "memory_encoder_output_channels": 64,
        "mask_downsampler_embed_dim": 128,
        "memory_fuser_num_layers": 1,
        "memory_fuser_embed_dim": 128,
        "memory_fuser_intermediate_dim": 16,
    }


def tiny_sam2(size: int = SIZE, *, seed: int = 0) -> Any:
    """A Sam2VideoModel that sees every target."""
    import transformers as t

    torch.manual_seed(seed)
    settings = _settings(size, t.Sam2VideoPromptEncoderConfig, t.Sam2VideoMaskDecoderConfig)
    config = t.Sam2VideoConfig(**settings, memory_attention_feed_forward_hidden_size=16)
    return seeing(t.Sam2VideoModel(config).eval())


def tiny_edgetam(size: int = SIZE) -> Any:
    """An EdgeTamVideoModel over SAM 2's backbone (its own needs timm)."""
    import transformers as t

    torch.manual_seed(0)
    settings = _settings(size, t.EdgeTamVideoPromptEncoderConfig, t.EdgeTamVideoMaskDecoderConfig)
    config = t.EdgeTamVideoConfig(
        **settings,
        memory_attention_mlp_hidden_size=16,
        memory_attention_rope_k_sizes=[2, 2],
        perceiver_resampler_num_latents=4,
        perceiver_resampler_num_latents_2d=4,
        perceiver_resampler_mlp_intermediate_size=16,
    )
    return seeing(t.EdgeTamVideoModel(config).eval())


def seeing(model: Any, logit: float = 3.0) -> Any:
    """The model with an object score of ``logit`` whatever it sees."""
    last = model.mask_decoder.pred_obj_score_head.proj_out
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(logit)
    return model
