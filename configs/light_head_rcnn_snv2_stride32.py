# Without dilation: stage4 has stride 32, as in the fast detector of the Light-Head R-CNN paper (section 4.4).
_base_ = './light_head_rcnn_snv2.py'

model = dict(
    backbone=dict(strides=(2, 2, 2), dilations=(1, 1, 1)), roi_head=dict(bbox_roi_extractor=dict(featmap_strides=[32]))
)
