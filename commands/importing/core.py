"""The inputs and outputs of ComfyUI's own nodes, in the order in which its files count them.

One line a type: its name, inputs, and after > the types of its outputs. An input that is a link is name=TYPE; one that
holds a value is name:kind, with =default where ComfyUI has one. ? stands behind those that may be absent.

    I whole number   F number   S text   B boolean   C one of a list   N seed, which is followed by what becomes of it
    U the button for uploading, which some files count as a value

Read from ComfyUI 0.3.64; it holds what the importer translates, and more that it can name.
"""

import re
from dataclasses import dataclass
from functools import cache

LINES = """
CheckpointLoaderSimple ckpt_name:C > MODEL CLIP VAE
CheckpointLoader config_name:C ckpt_name:C > MODEL CLIP VAE
unCLIPCheckpointLoader ckpt_name:C > MODEL CLIP VAE CLIP_VISION
UNETLoader unet_name:C weight_dtype:C=default > MODEL
CLIPLoader clip_name:C type:C=stable_diffusion device:C=default? > CLIP
DualCLIPLoader clip_name1:C clip_name2:C type:C device:C=default? > CLIP
TripleCLIPLoader clip_name1:C clip_name2:C clip_name3:C > CLIP
VAELoader vae_name:C > VAE
LoraLoader model=MODEL clip=CLIP lora_name:C strength_model:F=1.0 strength_clip:F=1.0 > MODEL CLIP
LoraLoaderModelOnly model=MODEL lora_name:C strength_model:F=1.0 > MODEL
ModelMergeSimple model1=MODEL model2=MODEL ratio:F=1.0 > MODEL
CLIPMergeSimple clip1=CLIP clip2=CLIP ratio:F=1.0 > CLIP
CheckpointSave model=MODEL clip=CLIP vae=VAE filename_prefix:S=checkpoints/ComfyUI >
ControlNetLoader control_net_name:C > CONTROL_NET
DiffControlNetLoader model=MODEL control_net_name:C > CONTROL_NET
UpscaleModelLoader model_name:C > UPSCALE_MODEL
CLIPVisionLoader clip_name:C > CLIP_VISION
StyleModelLoader style_model_name:C > STYLE_MODEL
GLIGENLoader gligen_name:C > GLIGEN
ImageOnlyCheckpointLoader ckpt_name:C > MODEL CLIP_VISION VAE
CLIPTextEncode text:S clip=CLIP > CONDITIONING
CLIPSetLastLayer clip=CLIP stop_at_clip_layer:I=-1 > CLIP
CLIPTextEncodeSDXL clip=CLIP width:I=1024 height:I=1024 crop_w:I=0 crop_h:I=0 target_width:I=1024 target_height:I=1024 text_g:S text_l:S > CONDITIONING
CLIPTextEncodeSDXLRefiner ascore:F=6.0 width:I=1024 height:I=1024 text:S clip=CLIP > CONDITIONING
CLIPTextEncodeFlux clip=CLIP clip_l:S t5xxl:S guidance:F=3.5 > CONDITIONING
CLIPTextEncodeSD3 clip=CLIP clip_l:S clip_g:S t5xxl:S empty_padding:C=none > CONDITIONING
FluxGuidance conditioning=CONDITIONING guidance:F=3.5 > CONDITIONING
FluxDisableGuidance conditioning=CONDITIONING > CONDITIONING
ConditioningZeroOut conditioning=CONDITIONING > CONDITIONING
ConditioningCombine conditioning_1=CONDITIONING conditioning_2=CONDITIONING > CONDITIONING
ConditioningConcat conditioning_to=CONDITIONING conditioning_from=CONDITIONING > CONDITIONING
ConditioningAverage conditioning_to=CONDITIONING conditioning_from=CONDITIONING conditioning_to_strength:F=1.0 > CONDITIONING
ConditioningSetArea conditioning=CONDITIONING width:I=64 height:I=64 x:I=0 y:I=0 strength:F=1.0 > CONDITIONING
ConditioningSetAreaPercentage conditioning=CONDITIONING width:F=1.0 height:F=1.0 x:F=0.0 y:F=0.0 strength:F=1.0 > CONDITIONING
ConditioningSetAreaStrength conditioning=CONDITIONING strength:F=1.0 > CONDITIONING
ConditioningSetMask conditioning=CONDITIONING mask=MASK strength:F=1.0 set_cond_area:C=default > CONDITIONING
ConditioningSetTimestepRange conditioning=CONDITIONING start:F=0.0 end:F=1.0 > CONDITIONING
unCLIPConditioning conditioning=CONDITIONING clip_vision_output=CLIP_VISION_OUTPUT strength:F=1.0 noise_augmentation:F=0.0 > CONDITIONING
GLIGENTextBoxApply conditioning_to=CONDITIONING clip=CLIP gligen_textbox_model=GLIGEN text:S width:I=64 height:I=64 x:I=0 y:I=0 > CONDITIONING
StyleModelApply conditioning=CONDITIONING style_model=STYLE_MODEL clip_vision_output=CLIP_VISION_OUTPUT strength:F=1.0 strength_type:C=multiply > CONDITIONING
ReferenceLatent conditioning=CONDITIONING latent=LATENT? > CONDITIONING
CLIPVisionEncode clip_vision=CLIP_VISION image=IMAGE crop:C=center > CLIP_VISION_OUTPUT
InstructPixToPixConditioning positive=CONDITIONING negative=CONDITIONING vae=VAE pixels=IMAGE > CONDITIONING CONDITIONING LATENT
InpaintModelConditioning positive=CONDITIONING negative=CONDITIONING vae=VAE pixels=IMAGE mask=MASK noise_mask:B=true > CONDITIONING CONDITIONING LATENT
SVD_img2vid_Conditioning clip_vision=CLIP_VISION init_image=IMAGE vae=VAE width:I=1024 height:I=576 video_frames:I=14 motion_bucket_id:I=127 fps:I=6 augmentation_level:F=0.0 > CONDITIONING CONDITIONING LATENT
ControlNetApply conditioning=CONDITIONING control_net=CONTROL_NET image=IMAGE strength:F=1.0 > CONDITIONING
ControlNetApplyAdvanced positive=CONDITIONING negative=CONDITIONING control_net=CONTROL_NET image=IMAGE strength:F=1.0 start_percent:F=0.0 end_percent:F=1.0 vae=VAE? > CONDITIONING CONDITIONING
ControlNetApplySD3 positive=CONDITIONING negative=CONDITIONING control_net=CONTROL_NET vae=VAE image=IMAGE strength:F=1.0 start_percent:F=0.0 end_percent:F=1.0 > CONDITIONING CONDITIONING
SetUnionControlNetType control_net=CONTROL_NET type:C=auto > CONTROL_NET
Canny image=IMAGE low_threshold:F=0.4 high_threshold:F=0.8 > IMAGE
EmptyLatentImage width:I=512 height:I=512 batch_size:I=1 > LATENT
EmptySD3LatentImage width:I=1024 height:I=1024 batch_size:I=1 > LATENT
VAEDecode samples=LATENT vae=VAE > IMAGE
VAEDecodeTiled samples=LATENT vae=VAE tile_size:I=512 overlap:I=64 temporal_size:I=64 temporal_overlap:I=8 > IMAGE
VAEEncode pixels=IMAGE vae=VAE > LATENT
VAEEncodeTiled pixels=IMAGE vae=VAE tile_size:I=512 overlap:I=64 temporal_size:I=64 temporal_overlap:I=8 > LATENT
VAEEncodeForInpaint pixels=IMAGE vae=VAE mask=MASK grow_mask_by:I=6 > LATENT
SetLatentNoiseMask samples=LATENT mask=MASK > LATENT
LatentUpscale samples=LATENT upscale_method:C=nearest-exact width:I=512 height:I=512 crop:C=disabled > LATENT
LatentUpscaleBy samples=LATENT upscale_method:C=nearest-exact scale_by:F=1.5 > LATENT
LatentFromBatch samples=LATENT batch_index:I=0 length:I=1 > LATENT
RepeatLatentBatch samples=LATENT amount:I=1 > LATENT
LatentBlend samples1=LATENT samples2=LATENT blend_factor:F=0.5 > LATENT
LatentBatch samples1=LATENT samples2=LATENT > LATENT
LatentComposite samples_to=LATENT samples_from=LATENT x:I=0 y:I=0 feather:I=0 > LATENT
LatentRotate samples=LATENT rotation:C=none > LATENT
LatentFlip samples=LATENT flip_method:C > LATENT
LatentCrop samples=LATENT width:I=512 height:I=512 x:I=0 y:I=0 > LATENT
KSampler model=MODEL seed:N=0 steps:I=20 cfg:F=8.0 sampler_name:C scheduler:C positive=CONDITIONING negative=CONDITIONING latent_image=LATENT denoise:F=1.0 > LATENT
KSamplerAdvanced model=MODEL add_noise:C=enable noise_seed:N=0 steps:I=20 cfg:F=8.0 sampler_name:C scheduler:C positive=CONDITIONING negative=CONDITIONING latent_image=LATENT start_at_step:I=0 end_at_step:I=10000 return_with_leftover_noise:C=disable > LATENT
SamplerCustom model=MODEL add_noise:B=true noise_seed:N=0 cfg:F=8.0 positive=CONDITIONING negative=CONDITIONING sampler=SAMPLER sigmas=SIGMAS latent_image=LATENT > LATENT LATENT
SamplerCustomAdvanced noise=NOISE guider=GUIDER sampler=SAMPLER sigmas=SIGMAS latent_image=LATENT > LATENT LATENT
RandomNoise noise_seed:N=0 > NOISE
DisableNoise > NOISE
BasicGuider model=MODEL conditioning=CONDITIONING > GUIDER
CFGGuider model=MODEL positive=CONDITIONING negative=CONDITIONING cfg:F=8.0 > GUIDER
DualCFGGuider model=MODEL cond1=CONDITIONING cond2=CONDITIONING negative=CONDITIONING cfg_conds:F=8.0 cfg_cond2_negative:F=8.0 style:C=regular? > GUIDER
PerpNegGuider model=MODEL positive=CONDITIONING negative=CONDITIONING empty_conditioning=CONDITIONING cfg:F=8.0 neg_scale:F=1.0 > GUIDER
KSamplerSelect sampler_name:C > SAMPLER
SamplerEulerAncestral eta:F=1.0 s_noise:F=1.0 > SAMPLER
SamplerDPMPP_2M_SDE solver_type:C=midpoint eta:F=1.0 s_noise:F=1.0 noise_device:C=gpu > SAMPLER
SamplerDPMPP_SDE eta:F=1.0 s_noise:F=1.0 r:F=0.5 noise_device:C=gpu > SAMPLER
SamplerLMS order:I=4 > SAMPLER
BasicScheduler model=MODEL scheduler:C steps:I=20 denoise:F=1.0 > SIGMAS
SDTurboScheduler model=MODEL steps:I=1 denoise:F=1.0 > SIGMAS
BetaSamplingScheduler model=MODEL steps:I=20 alpha:F=0.6 beta:F=0.6 > SIGMAS
KarrasScheduler steps:I=20 sigma_max:F=14.614642 sigma_min:F=0.0291675 rho:F=7.0 > SIGMAS
ExponentialScheduler steps:I=20 sigma_max:F=14.614642 sigma_min:F=0.0291675 > SIGMAS
PolyexponentialScheduler steps:I=20 sigma_max:F=14.614642 sigma_min:F=0.0291675 rho:F=1.0 > SIGMAS
AlignYourStepsScheduler model_type:C=SD1 steps:I=10 denoise:F=1.0 > SIGMAS
SplitSigmas sigmas=SIGMAS step:I=0 > SIGMAS SIGMAS
SplitSigmasDenoise sigmas=SIGMAS denoise:F=1.0 > SIGMAS SIGMAS
FlipSigmas sigmas=SIGMAS > SIGMAS
ModelSamplingFlux model=MODEL max_shift:F=1.15 base_shift:F=0.5 width:I=1024 height:I=1024 > MODEL
ModelSamplingSD3 model=MODEL shift:F=3.0 > MODEL
ModelSamplingAuraFlow model=MODEL shift:F=1.73 > MODEL
ModelSamplingDiscrete model=MODEL sampling:C=eps zsnr:B=false > MODEL
RescaleCFG model=MODEL multiplier:F=0.7 > MODEL
PerturbedAttentionGuidance model=MODEL scale:F=3.0 > MODEL
SkipLayerGuidanceSD3 model=MODEL layers:S=7,8,9 scale:F=3.0 start_percent:F=0.01 end_percent:F=0.15 > MODEL
DifferentialDiffusion model=MODEL strength:F=1.0? > MODEL
SelfAttentionGuidance model=MODEL scale:F=0.5 blur_sigma:F=2.0 > MODEL
FreeU model=MODEL b1:F=1.1 b2:F=1.2 s1:F=0.9 s2:F=0.2 > MODEL
FreeU_V2 model=MODEL b1:F=1.3 b2:F=1.4 s1:F=0.9 s2:F=0.2 > MODEL
HyperTile model=MODEL tile_size:I=256 swap_size:I=2 max_depth:I=0 scale_depth:B=false > MODEL
TomePatchModel model=MODEL ratio:F=0.3 > MODEL
PatchModelAddDownscale model=MODEL block_number:I=3 downscale_factor:F=2.0 start_percent:F=0.0 end_percent:F=0.35 downscale_after_skip:B=true downscale_method:C=bicubic upscale_method:C=bicubic > MODEL
VideoLinearCFGGuidance model=MODEL min_cfg:F=1.0 > MODEL
LoadImage image:C upload:U? > IMAGE MASK
LoadImageMask image:C channel:C=alpha upload:U? > MASK
SaveImage images=IMAGE filename_prefix:S=ComfyUI >
PreviewImage images=IMAGE >
SaveAnimatedWEBP images=IMAGE filename_prefix:S=ComfyUI fps:F=6.0 lossless:B=true quality:I=80 method:C=default >
ImageScale image=IMAGE upscale_method:C=nearest-exact width:I=512 height:I=512 crop:C=disabled > IMAGE
ImageScaleBy image=IMAGE upscale_method:C=nearest-exact scale_by:F=1.0 > IMAGE
ImageScaleToTotalPixels image=IMAGE upscale_method:C=nearest-exact megapixels:F=1.0 > IMAGE
ImageUpscaleWithModel upscale_model=UPSCALE_MODEL image=IMAGE > IMAGE
FluxKontextImageScale image=IMAGE > IMAGE
ImagePadForOutpaint image=IMAGE left:I=0 top:I=0 right:I=0 bottom:I=0 feathering:I=40 > IMAGE MASK
ImageInvert image=IMAGE > IMAGE
ImageBatch image1=IMAGE image2=IMAGE > IMAGE
ImageFromBatch image=IMAGE batch_index:I=0 length:I=1 > IMAGE
RepeatImageBatch image=IMAGE amount:I=1 > IMAGE
ImageCrop image=IMAGE width:I=512 height:I=512 x:I=0 y:I=0 > IMAGE
ImageBlend image1=IMAGE image2=IMAGE blend_factor:F=0.5 blend_mode:C=normal > IMAGE
ImageBlur image=IMAGE blur_radius:I=1 sigma:F=1.0 > IMAGE
ImageSharpen image=IMAGE sharpen_radius:I=1 sigma:F=1.0 alpha:F=1.0 > IMAGE
ImageCompositeMasked destination=IMAGE source=IMAGE x:I=0 y:I=0 resize_source:B=false mask=MASK? > IMAGE
ImageFlip image=IMAGE flip_method:C > IMAGE
ImageRotate image=IMAGE rotation:C=none > IMAGE
EmptyImage width:I=512 height:I=512 batch_size:I=1 color:I=0 > IMAGE
ImageToMask image=IMAGE channel:C=red > MASK
ImageColorToMask image=IMAGE color:I=0 > MASK
MaskToImage mask=MASK > IMAGE
InvertMask mask=MASK > MASK
GrowMask mask=MASK expand:I=0 tapered_corners:B=true > MASK
FeatherMask mask=MASK left:I=0 top:I=0 right:I=0 bottom:I=0 > MASK
SolidMask value:F=1.0 width:I=512 height:I=512 > MASK
MaskComposite destination=MASK source=MASK x:I=0 y:I=0 operation:C=multiply > MASK
ThresholdMask mask=MASK value:F=0.5 > MASK
PrimitiveInt value:N=0 > INT
PrimitiveFloat value:F=0.0 > FLOAT
PrimitiveString value:S > STRING
PrimitiveStringMultiline value:S > STRING
PrimitiveBoolean value:B=false > BOOLEAN
StringConcatenate string_a:S string_b:S delimiter:S > STRING
"""  # noqa: E501

KINDS = {"I": "a whole number", "F": "a number", "N": "a whole number", "B": "true or false"}
KINDS |= dict.fromkeys(("S", "C", "U"), "text")


@dataclass(frozen=True, slots=True)
class Socket:
    """An input. kind: a letter of the table for a value, empty for a link, whose type is `type`."""

    name: str
    kind: str = ""
    type: str = ""
    default: object = None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Signature:
    """The inputs of a node type by name, in order, and the types of its outputs."""

    inputs: dict[str, Socket]
    outputs: tuple[str, ...]

    @property
    def widgets(self) -> list[Socket]:
        """The inputs that hold a value, in the order in which files list them."""
        return [socket for socket in self.inputs.values() if socket.kind]


@cache
def signatures() -> dict[str, Signature]:
    """All node types that are known."""
    found = {}
    for line in LINES.strip().splitlines():
        before, _, after = line.partition(">")
        name, *words = before.split()
        sockets = [_socket(word) for word in words]
        found[name] = Signature({s.name: s for s in sockets}, tuple(after.split()))
    return found


_WORD = re.compile(r"(?P<name>\w+)(?::(?P<kind>\w))?(?:=(?P<value>[^?]*))?(?P<optional>\?)?\Z")


def _socket(word: str) -> Socket:
    match = _WORD.match(word)
    assert match is not None, word
    name, kind, value = match["name"], match["kind"] or "", match["value"]
    optional = bool(match["optional"])
    if not kind:
        return Socket(name, type=value, optional=optional)
    if value is None:
        return Socket(name, kind, default="" if kind == "S" else None, optional=optional)
    default: object = value
    if kind in "IN":
        default = int(value)
    elif kind == "F":
        default = float(value)
    elif kind == "B":
        default = value == "true"
    return Socket(name, kind, default=default, optional=optional)
